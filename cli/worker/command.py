"""``notify worker``: runs worker processes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Annotated, Final, NoReturn

import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.start import Level, MetricsPort
from cli.worker.modules import BUILT_IN_QUEUES, modules_to_load, queues_of
from cli.worker.progress import BurstProgress
from cli.worker.running import talking
from notify import Bus
from workers import Pool, WorkerOptions
from workers.line import MOST_AHEAD
from workers.pool import MAX_RESTARTS, WINDOW_S, PoolPlan, WorkerForkServer, become_parent, serving_pool_metrics, supervise

__all__ = ["worker"]

MOST_WORKERS: Final = 1000
"""More than this on one machine is a slip of the finger: each has a process for its jobs."""
PER_PROCESS: Final = 8
"""How many workers share a process at most. They take turns in Python: with more the claims of short jobs would wait for each other."""


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
    size: Annotated[
        int | None, typer.Option("--number", "-n", min=1, max=MOST_WORKERS, help="Workers.", show_default="one per core")
    ] = None,
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
    lean: Annotated[
        bool, typer.Option("--lean", help="Leave out events of starts and successes, empty results, and records of runs.")
    ] = False,
    max_restarts: Annotated[
        int, typer.Option("--max-restarts", min=0, help=f"End with code 1 if a worker dies more often within {WINDOW_S:g} s.")
    ] = MAX_RESTARTS,
    grace_s: Annotated[
        float | None,
        typer.Option("--grace", min=0, help="Seconds that jobs may take to finish after the first signal.", show_default="no limit"),
    ] = None,
    job_logs: Annotated[
        Level | None,
        typer.Option(
            "--job-logs",
            case_sensitive=False,
            help="Publish what each job logs, from this level on, for `notify job logs`.",
            show_default="$NOTIFY_JOB_LOGS, else nothing",
            envvar="NOTIFY_JOB_LOGS",
            show_envvar=False,
        ),
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
    metrics_port: MetricsPort = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level INFO.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Run workers until Ctrl-C or SIGTERM. Running jobs finish first; a second signal, or the end of the grace, ends them.

    A job that is ended so is queued again if it has a retry left, and fails otherwise; the exit code is then 4.

    A worker that dies is started again, with pauses that grow. One that ends because it was told to, also by `notify workers stop`, is not.
    """
    environ, folder = dict(os.environ), os.getcwd()
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if not all(queues or BUILT_IN_QUEUES):
        raise typer.BadParameter("the name of a queue cannot be empty: leave it out for the queues of the imported modules")
    given = Level.INFO if verbose and log_level is None else log_level or chosen.log_level
    runs_here = burst or chosen.settings.url is None  # it shows a bar, or has a server to stop
    with closing(WorkerForkServer()) as server, ExitStack() as opened:
        if runs_here:
            server.fork()  # before anything is opened, and before the modules of jobs are imported
        names = modules_to_load(modules)
        chosen_queues = tuple(queues or queues_of(modules or ()) or BUILT_IN_QUEUES)
        bus = opened.enter_context(chosen.connect(name="notify-worker"))
        of_modules = f" (the queues of the jobs in {', '.join(modules)})" if modules and not queues else ""
        plan = PoolPlan(
            options=WorkerOptions(
                settings=bus.settings,
                queues=chosen_queues,
                modules=names,
                burst=burst,
                skip_foreign=skip_foreign,
                window=window,
                history="lean" if lean else "full",
                log_level=given or (Level.INFO if _logs_jobs(chosen, burst=burst) else Level.WARNING),
                log_format=chosen.log_format.value,
                job_logs=job_logs or "",
                path=tuple(sys.path),
            ),
            metrics=metrics_port or "",
            size=size,
            per_process=1 if isolated_parents else PER_PROCESS,
            max_restarts=max_restarts,
            grace_s=grace_s,
            says=f"on {', '.join(chosen_queues)}{of_modules} at {bus.redis.address}",
        )
        if runs_here:
            _run_here(plan, chosen, bus, server, has_bar=given in (None, *QUIET))
    become_parent(plan, environ=environ, folder=folder)


def _run_here(plan: PoolPlan, chosen: Options, bus: Bus, server: WorkerForkServer, *, has_bar: bool) -> NoReturn:
    """Run the workers as children of this process.

    Args:
        plan: what to run.
        chosen: the common options.
        bus: the connection of the command.
        server: forks the workers.
        has_bar: whether a burst shows a bar: lines of the workers would break it.
    """
    talk = talking(chosen.output)
    pool = Pool(plan.options, size=plan.size, per_process=plan.per_process, max_restarts=plan.max_restarts, server=server, report=talk)
    showing = _progress(BurstProgress(chosen.output, bus.redis, pool, plan.options.queues, has_bar=has_bar)) if plan.options.burst else None
    with serving_pool_metrics(pool, plan.metrics, plan.options.settings):
        code = supervise(pool, says=plan.says, talk=talk, grace_s=plan.grace_s, showing=showing)
    raise typer.Exit(code)


@contextmanager
def _progress(progress: BurstProgress) -> Iterator[Callable[[], object]]:
    """Show the progress of a burst within the block. Yields what shows the present numbers."""
    with progress:
        yield progress.show


def _logs_jobs(chosen: Options, *, burst: bool) -> bool:
    """Return whether jobs are logged by default: on a terminal, unless a bar shows the progress of a burst there."""
    return sys.stderr.isatty() and not (burst and chosen.output.can_change)
