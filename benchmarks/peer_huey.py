"""huey's side of a throughput round: RedisHuey as it comes, which keeps no result of a task that returns nothing."""

import os

from huey import RedisHuey

from benchmarks.tally import URL
from benchmarks.work import WORK

__all__ = ["huey", "preload"]


huey = RedisHuey("bench", url=os.environ[URL])
TASKS = {name: huey.task()(function) for name, function in WORK.items()}


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each: huey has no other way."""
    for _ in range(count):
        TASKS[name](count)
