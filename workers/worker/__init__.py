"""The worker process: claims jobs, gives them to its child process (the horse), stops them, and records their end.

The processes of a `workers.Pool`, and ``rq worker``, run it.
Nothing here decides whether a service is alive: the Lua scripts do, at each claim and at each check of a run.
"""

from workers.worker.worker import Worker

__all__ = [
    "Worker",
]
