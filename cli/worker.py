"""``notify worker``: runs worker processes."""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from cli.options import AsJson, Namespace, Url, options
from cli.processes import working
from cli.progress import BurstProgress
from cli.signals import Stop
from workers import Pool, WorkerOptions
from workers.jobs import load_jobs

__all__ = ["BUILT_IN_MODULES", "BUILT_IN_QUEUES", "add_working_folder", "count_of", "modules_to_load", "worker"]

BUILT_IN_MODULES = ("workers.storage", "workers.temperature")
BUILT_IN_QUEUES = ("temperature", "storage")


def worker(
    context: typer.Context,
    queues: Annotated[list[str] | None, typer.Argument(help="Queues, the most urgent first.", show_default="temperature storage")] = None,
    size: Annotated[int | None, typer.Option("--number", "-n", min=1, help="Worker processes.", show_default="one per core")] = None,
    modules: Annotated[
        list[str] | None, typer.Option("--import", help="Module whose jobs may run, in addition to the built-in ones.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when the queues are empty.")] = False,
    skip_foreign: Annotated[
        bool, typer.Option("--skip-foreign", help="Leave pickled jobs of plain RQ in the queue, for RQ's own workers. Otherwise they fail.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every job.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Run worker processes until Ctrl-C. Running jobs finish first; a second Ctrl-C ends them."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if not all(queues or BUILT_IN_QUEUES):
        raise typer.BadParameter("the name of a queue cannot be empty: leave it out for the built-in queues")
    names = modules_to_load(modules)
    with Stop() as stop, chosen.connect(name="notify-worker") as bus:
        worker_options = WorkerOptions(
            settings=bus.settings,
            queues=tuple(queues or BUILT_IN_QUEUES),
            modules=names,
            burst=burst,
            skip_foreign=skip_foreign,
            log_level="INFO" if verbose else "WARNING",
        )
        with working(Pool(worker_options, size=size)) as pool:
            chosen.output.talk(f"{count_of(pool)} on {', '.join(worker_options.queues)} at {bus.redis.address}")
            if burst:
                with BurstProgress(chosen.output, bus.redis, pool, worker_options.queues) as progress:
                    _watch(pool, stop, progress.show)
            else:
                _watch(pool, stop, lambda: None)


def _watch(pool: Pool, stop: Stop, show: Callable[[], None]) -> None:
    """Keep the workers running until a signal arrives or all of them have ended. Calls ``show`` five times a second."""
    while pool.check() and not stop.wait(0.2):
        show()


def count_of(pool: Pool) -> str:
    """Return the number of workers in words."""
    return f"{pool.size} worker{'' if pool.size == 1 else 's'}"


def add_working_folder() -> None:
    """Make the modules of the working directory importable, as ``python -m`` does, also in the worker processes."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def modules_to_load(added: list[str] | None) -> tuple[str, ...]:
    """Return the built-in modules and the added ones. All are imported here once, so that a mistake is reported at once.

    Raises:
        ModuleLoadError: a module cannot be imported, or defines no job.
    """
    add_working_folder()
    names = (*BUILT_IN_MODULES, *(added or ()))
    load_jobs(names)
    return names
