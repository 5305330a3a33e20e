"""The worker process: claims jobs, gives them to the horse, stops them, and records how they ended.

`notify worker`, `Pool` and ``rq worker`` run it.
It decides nothing about services: it asks the server at each claim and stop.
"""

from workers.worker.pool import Pool, WorkerOptions
from workers.worker.worker import Worker

__all__ = [
    "Pool",
    "Worker",
    "WorkerOptions",
]
