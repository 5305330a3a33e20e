"""The worker process: claims jobs, gives them to its child process (the horse), stops them, and records their end.

``notify worker``, `Pool` and ``rq worker`` run it.
Nothing here decides whether a service is alive: the Lua scripts do, at each claim and at each check of a run.
"""

from workers.worker.pool import Pool
from workers.worker.process import WorkerOptions
from workers.worker.restarts import MAX_RESTARTS, WINDOW_S
from workers.worker.worker import Worker

__all__ = [
    "MAX_RESTARTS",
    "WINDOW_S",
    "Pool",
    "Worker",
    "WorkerOptions",
]
