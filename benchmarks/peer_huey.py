"""huey's side of a throughput round: RedisHuey as it comes, which keeps no result of a task that returns nothing."""

import os

from huey import RedisHuey

from benchmarks.tally import COUNTER, URL, client, tally

__all__ = ["huey", "preload"]


huey = RedisHuey("bench", url=os.environ[URL])


@huey.task()
def nothing(total: int) -> None:
    tally().count(total)


@huey.task()
def increment(total: int) -> None:
    client().incr(COUNTER)
    tally().count(total)


def preload(name: str, count: int) -> None:
    task = {"nothing": nothing, "increment": increment}[name]
    for _ in range(count):
        task(count)
