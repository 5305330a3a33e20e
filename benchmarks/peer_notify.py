"""Our side of a throughput round."""

import asyncio
import os
import time

import notify
from benchmarks.tally import COUNTER, URL, client, tally
from workers import Queue, job

__all__ = ["at_once", "increment", "nothing", "pause_1ms", "pause_10ms", "preload", "take_a_moment"]


@job("bench-throughput")
def nothing(total: int) -> None:
    """Do nothing but be counted."""
    tally().count(total)


@job("bench-throughput")
def increment(total: int) -> None:
    """One command."""
    client().incr(COUNTER)
    tally().count(total)


@job("bench-throughput")
def pause_1ms(total: int) -> None:
    """Wait for 1 ms, in place of work."""
    time.sleep(0.001)
    tally().count(total)


@job("bench-throughput")
def pause_10ms(total: int) -> None:
    """Wait for 10 ms, in place of work."""
    time.sleep(0.01)
    tally().count(total)


@job("bench-throughput", concurrency=100)
async def take_a_moment(total: int) -> None:
    """Wait for 50 ms, beside up to 99 others."""
    await asyncio.sleep(0.05)
    tally().count(total)


JOBS = {function.__name__: function for function in (nothing, increment, pause_1ms, pause_10ms, take_a_moment)}


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs of a name, one call each."""
    with notify.connect(os.environ[URL]) as bus:
        queue, function = Queue("bench-throughput", connection=bus.redis), JOBS[name]
        for _ in range(count):
            queue.enqueue(function, count)


def at_once(name: str, count: int) -> None:
    """Enqueue ``count`` jobs of a name in one call."""
    with notify.connect(os.environ[URL]) as bus:
        queue = Queue("bench-throughput", connection=bus.redis)
        queue.enqueue_many([queue.prepare_data(JOBS[name], (count,)) for _ in range(count)])
