"""Our side of a throughput round."""

import os

import notify
from benchmarks.tally import COUNTER, URL, client, tally
from workers import Queue, job

__all__ = ["increment", "nothing", "preload"]


@job("bench-throughput")
def nothing(total: int) -> None:
    """Do nothing but be counted."""
    tally().count(total)


@job("bench-throughput")
def increment(total: int) -> None:
    """One command."""
    client().incr(COUNTER)
    tally().count(total)


def preload(name: str, count: int) -> None:
    """Put ``count`` jobs of a name into the queue."""
    with notify.connect(os.environ[URL]) as bus:
        queue, function = Queue("bench-throughput", connection=bus.redis), {"nothing": nothing, "increment": increment}[name]
        for _ in range(count):
            queue.enqueue(function, count)
