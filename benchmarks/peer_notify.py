"""Our side of a throughput round."""

import asyncio
import os

import notify
from benchmarks.tally import COUNTER, URL, client, tally
from workers import Queue, job

__all__ = ["increment", "nothing", "preload", "take_a_moment"]


@job("bench-throughput")
def nothing(total: int) -> None:
    """Do nothing but be counted."""
    tally().count(total)


@job("bench-throughput")
def increment(total: int) -> None:
    """One command."""
    client().incr(COUNTER)
    tally().count(total)


@job("bench-throughput", concurrency=100)
async def take_a_moment(total: int) -> None:
    """Wait for 50 ms, beside up to 99 others."""
    await asyncio.sleep(0.05)
    tally().count(total)


def preload(name: str, count: int) -> None:
    """Put ``count`` jobs of a name into the queue."""
    with notify.connect(os.environ[URL]) as bus:
        functions = {"nothing": nothing, "increment": increment, "take_a_moment": take_a_moment}
        queue, function = Queue("bench-throughput", connection=bus.redis), functions[name]
        for _ in range(count):
            queue.enqueue(function, count)
