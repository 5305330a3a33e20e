"""``notify worker``: runs worker processes."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final, NoReturn

import typer

from cli.options import AsJson, Namespace, Options, Url, options
from cli.start import Level, MetricsPort
from cli.worker.given import (
    PER_PROCESS,
    Burst,
    Grace,
    IsolatedParents,
    JobLogs,
    Lean,
    LowestLevel,
    MaxRestarts,
    Modules,
    Number,
    Queues,
    SkipForeign,
    Verbose,
    Window,
)
from cli.worker.modules import BUILT_IN_QUEUES, modules_to_load, queues_of
from cli.worker.progress import BurstProgress
from cli.worker.running import talking
from notify import Bus
from workers import Pool, WorkerOptions
from workers.pool import MAX_RESTARTS, PoolPlan, WorkerForkServer, become_parent, serving_pool_metrics, supervise

__all__ = ["worker"]

QUIET: Final = (Level.WARNING, Level.ERROR)
"""Levels without the lines about jobs."""


def worker(
    context: typer.Context,
    queues: Queues = None,
    size: Number = None,
    isolated_parents: IsolatedParents = False,
    modules: Modules = None,
    burst: Burst = False,
    skip_foreign: SkipForeign = False,
    window: Window = None,
    lean: Lean = False,
    max_restarts: MaxRestarts = MAX_RESTARTS,
    grace_s: Grace = None,
    job_logs: JobLogs = None,
    log_level: LowestLevel = None,
    metrics_port: MetricsPort = None,
    verbose: Verbose = False,
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
