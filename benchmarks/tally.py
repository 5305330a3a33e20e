"""Counts the jobs of a throughput round, for all sides alike; the last job stores how long all took."""

import itertools
import os
import time
from functools import cache
from typing import Final

import redis

__all__ = ["APART", "AT_ONCE", "COUNTER", "DONE", "URL", "client", "tally"]

URL: Final = "BENCH_URL"
"""The variable that names the server: the modules of the peers want to know it while they are imported."""
AT_ONCE: Final = "BENCH_AT_ONCE"
"""The variable that says how many jobs run side by side, for peers whose command has no option for it."""
APART: Final = "BENCH_APART"
"""The variable that is set if each job has a process of its own: they are counted on the server then."""
COUNTER: Final = "bench:counter"
DONE: Final = "bench:done"
"""A list: the seconds from the start of a round's first job to that of its last."""


@cache
def client() -> redis.Redis:
    """The connection of the jobs that do an INCR, the same for all sides: redis-py as it comes."""
    return redis.Redis.from_url(os.environ[URL])


BEGAN: Final = "bench:began"
"""A list: the time at which each job began that has a process of its own."""


class Tally:
    """Counts the jobs of a round within the process that runs them; safe among threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._began_s = 0.0

    def count(self, total: int) -> None:
        """Count one job of ``total``."""
        if os.environ.get(APART):
            self._count_apart(total)
            return
        number = next(self._numbers)
        if number == 1:
            self._began_s = time.perf_counter()
        if number == total:
            self._numbers = itertools.count(1)
            client().lpush(DONE, time.perf_counter() - self._began_s)

    @staticmethod
    def _count_apart(total: int) -> None:
        now = time.time()
        if client().rpush(BEGAN, now) == total:
            client().lpush(DONE, now - float(client().lindex(BEGAN, 0)))
            client().delete(BEGAN)


@cache
def tally() -> Tally:
    """The one of this process."""
    return Tally()
