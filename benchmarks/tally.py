"""Counts the jobs of a throughput round, for all sides alike; the last job stores how long all took."""

import itertools
import os
import time
from functools import cache
from typing import Final

import redis

__all__ = ["COUNTER", "DONE", "URL", "client", "tally"]

URL: Final = "BENCH_URL"
"""The variable that names the server: the modules of the peers want to know it while they are imported."""
COUNTER: Final = "bench:counter"
DONE: Final = "bench:done"
"""A list: the seconds from the start of a round's first job to that of its last."""


@cache
def client() -> redis.Redis:
    """The connection of the jobs that do an INCR, the same for all sides: redis-py as it comes."""
    return redis.Redis.from_url(os.environ[URL])


class Tally:
    """Counts the jobs of a round within the process that runs them; safe among threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._began_s = 0.0

    def count(self, total: int) -> None:
        """Count one job of ``total``."""
        number = next(self._numbers)
        if number == 1:
            self._began_s = time.perf_counter()
        if number == total:
            self._numbers = itertools.count(1)
            client().lpush(DONE, time.perf_counter() - self._began_s)


@cache
def tally() -> Tally:
    """The one of this process."""
    return Tally()
