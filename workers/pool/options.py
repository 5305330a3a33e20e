"""The options of a worker process."""

from typing import Literal

import msgspec

from notify.settings import Settings
from workers.fleet import LEASE_S
from workers.horse import RetireAfter

__all__ = ["WorkerOptions"]


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a worker process. They are passed through a pipe, so that no password shows in the list of processes.

    Args:
        settings: the settings of the connection; ``url`` must be set.
        queues: the names of the queues, in the order of their priority.
        modules: the modules whose jobs may run.
        burst: whether to end when the queues are empty.
        retire: when the process that runs the jobs is replaced by a new one.
        lease_s: seconds that the worker may be silent before another worker takes it for dead.
        skip_foreign: whether pickled jobs of plain RQ stay in the queue, for RQ's own workers.
        window: how many jobs a worker claims ahead of their turn, and 1: none; ``None``: short ones only, or ``$NOTIFY_WINDOW``.
        history: ``full``, or ``lean``; see `Worker`.
        log_level: the lowest level of log messages on stderr, also of those of the jobs; ``INFO`` logs the start and end of every job.
        log_format: ``text``, or ``json`` for one JSON object in each line.
        job_logs: the lowest level of what is published of the log of each job on the topic ``job_log.<id>``; empty: nothing.
        name: the name of the worker; a `Pool` gives each worker its own.
        names: the names of several workers, which share the process; then ``name`` does not count.
        path: folders in which modules are searched after all others; a `Pool` adds its own ``sys.path`` and the current folder.
    """

    settings: Settings
    queues: tuple[str, ...]
    modules: tuple[str, ...]
    burst: bool = False
    retire: RetireAfter = RetireAfter()
    lease_s: float = LEASE_S
    skip_foreign: bool = False
    window: int | None = None
    history: Literal["full", "lean"] = "full"
    log_level: str = "WARNING"
    log_format: Literal["text", "json"] = "text"
    job_logs: str = ""
    name: str = ""
    names: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
