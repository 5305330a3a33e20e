"""``notify worker``: runs worker processes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from enum import StrEnum
from typing import Annotated, Final

import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.signals import Stop
from cli.worker.modules import BUILT_IN_QUEUES, modules_to_load, queues_of
from cli.worker.progress import BurstProgress
from cli.worker.running import talking, working
from workers import Pool, WorkerOptions
from workers.line import MOST_AHEAD
from workers.pool import MAX_RESTARTS, WINDOW_S, WorkerForkServer

__all__ = ["CUT", "count_of", "worker"]

PER_PROCESS: Final = 8
"""How many workers share a process at most. They take turns in Python: with more the claims of short jobs would wait for each other."""
CUT: Final = 4
"""Exit code of a worker command that ended jobs before they were done."""


class Level(StrEnum):
    """The lowest level of log messages that are shown."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


QUIET: Final = (Level.WARNING, Level.ERROR)
"""Levels without the lines about jobs."""


def worker(
    context: typer.Context,
    queues: Annotated[
        list[str] | None,
        typer.Argument(
            help="Queues, the most urgent first; by default those of the jobs in the imported modules, or temperature and storage.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int | None, typer.Option("--number", "-n", min=1, help="Workers.", show_default="one per core")] = None,
    isolated_parents: Annotated[
        bool,
        typer.Option("--isolated-parents", help=f"A process of its own for each worker; otherwise up to {PER_PROCESS} share one."),
    ] = False,
    modules: Annotated[
        list[str] | None,
        typer.Option("--import", help="Module whose jobs may run, in addition to the built-in ones; the current folder is searched last."),
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queues are empty.")] = False,
    skip_foreign: Annotated[
        bool, typer.Option("--skip-foreign", help="Leave pickled jobs of plain RQ in the queue, for RQ's own workers. Otherwise they fail.")
    ] = False,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            min=1,
            max=MOST_AHEAD,
            help="Jobs that a worker claims ahead of their turn; 1: none.",
            show_default="short jobs only: about 5 ms of work",
        ),
    ] = None,
    max_restarts: Annotated[
        int, typer.Option("--max-restarts", min=0, help=f"End with code 1 if a worker dies more often within {WINDOW_S:g} s.")
    ] = MAX_RESTARTS,
    grace_s: Annotated[
        float | None,
        typer.Option("--grace", min=0, help="Seconds that jobs may take to finish after the first signal.", show_default="no limit"),
    ] = None,
    log_level: Annotated[
        Level | None,
        typer.Option(
            "--log-level",
            case_sensitive=False,
            help="Lowest level of what workers and jobs log. INFO has a line for the start and end of each job.",
            show_default="INFO on a terminal, else WARNING",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level INFO.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Run workers until Ctrl-C or SIGTERM. Running jobs finish first; a second signal, or the end of the grace, ends them.

    A job that is ended so is queued again if it has a retry left, and fails otherwise; the exit code is then 4.

    A worker that dies is started again, with pauses that grow. One that ends because it was told to, also by `notify workers stop`, is not.
    """
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if not all(queues or BUILT_IN_QUEUES):
        raise typer.BadParameter("the name of a queue cannot be empty: leave it out for the queues of the imported modules")
    given = Level.INFO if verbose and log_level is None else log_level
    with closing(WorkerForkServer()) as server, ExitStack() as opened:
        server.fork()  # before anything is opened, and before the modules of jobs are imported
        names = modules_to_load(modules)
        chosen_queues = tuple(queues or queues_of(modules or ()) or BUILT_IN_QUEUES)
        stop, bus = opened.enter_context(Stop()), opened.enter_context(chosen.connect(name="notify-worker"))
        worker_options = WorkerOptions(
            settings=bus.settings,
            queues=chosen_queues,
            modules=names,
            burst=burst,
            skip_foreign=skip_foreign,
            window=window,
            log_level=given or (Level.INFO if _logs_jobs(chosen, burst=burst) else Level.WARNING),
        )
        per_process = 1 if isolated_parents else PER_PROCESS
        pool = Pool(
            worker_options, size=size, per_process=per_process, max_restarts=max_restarts, server=server, report=talking(chosen.output)
        )
        with _telling_cuts(pool, chosen), working(pool, grace_s=grace_s):
            of_modules = f" (the queues of the jobs in {', '.join(modules)})" if modules and not queues else ""
            chosen.output.talk(f"{count_of(pool)} on {', '.join(chosen_queues)}{of_modules} at {bus.redis.address}")
            if burst:
                # Lines of the workers would break the bar.
                with BurstProgress(chosen.output, bus.redis, pool, chosen_queues, has_bar=given in (None, *QUIET)) as progress:
                    _watch(pool, stop, chosen, grace_s=grace_s, show=progress.show)
            else:
                _watch(pool, stop, chosen, grace_s=grace_s)


@contextmanager
def _telling_cuts(pool: Pool, chosen: Options) -> Iterator[None]:
    """End the command with the code `CUT`, and say so, if jobs were ended before they were done."""
    try:
        yield
    except KeyboardInterrupt:
        if not pool.cut_count:
            raise
    if pool.cut_count:
        chosen.output.talk(f"ended {_number(pool.cut_count, 'job')} before the end; with a retry left it is queued again, else it failed")
        raise typer.Exit(CUT)


def _logs_jobs(chosen: Options, *, burst: bool) -> bool:
    """Return whether jobs are logged by default: on a terminal, unless a bar shows the progress of a burst there."""
    return sys.stderr.isatty() and not (burst and chosen.output.can_change)


def _watch(pool: Pool, stop: Stop, chosen: Options, *, grace_s: float | None, show: Callable[[], None] = lambda: None) -> None:
    """Keep the workers running until a signal arrives or all of them have ended. Calls ``show`` five times a second.

    Raises:
        WorkersFailedError: a worker died too often.
    """
    while pool.check() and not stop.wait(0.2):
        show()
    if stop.asked:
        pool.stop()
        busy, silent = pool.count_busy()
        # Workers that have not answered wait for the server: they may have just been given a job.
        waiting = f", and waiting for {_number(silent, 'worker')}" if silent else ""
        if busy or silent:
            limit = "" if grace_s is None else f", for {grace_s:g} s at most"
            chosen.output.talk(f"finishing {_number(busy, 'job')}{waiting}{limit}; again to stop at once")


def count_of(pool: Pool) -> str:
    """Return the number of workers in words."""
    return _number(pool.size, "worker")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
