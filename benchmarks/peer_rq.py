"""RQ's side of a throughput round: its queue as it comes. Its worker forks for each job, so the jobs cannot count themselves."""

import os

import redis
import rq

from benchmarks.tally import URL
from benchmarks.work import WORK

__all__ = ["QUEUE", "at_once", "preload"]

QUEUE = "bench-rq"


def _queue() -> rq.Queue:
    return rq.Queue(QUEUE, connection=redis.Redis.from_url(os.environ[URL]))


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each."""
    queue = _queue()
    for _ in range(count):
        queue.enqueue(WORK[name], count)


def at_once(name: str, count: int) -> None:
    """Enqueue ``count`` jobs in one call."""
    queue = _queue()
    queue.enqueue_many([queue.prepare_data(WORK[name], (count,)) for _ in range(count)])
