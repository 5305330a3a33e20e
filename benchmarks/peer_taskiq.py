"""taskiq's side of a throughput round: its list broker, the fastest of its brokers, and no result backend, as it comes."""

import asyncio
import os
from functools import cache

import redis.asyncio
from taskiq_redis import ListQueueBroker

from benchmarks.tally import COUNTER, URL, tally

__all__ = ["broker", "preload"]


broker = ListQueueBroker(os.environ[URL])


@cache
def async_client() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(os.environ[URL])


@broker.task
async def nothing(total: int) -> None:
    tally().count(total)


@broker.task
async def increment(total: int) -> None:
    await async_client().incr(COUNTER)
    tally().count(total)


@broker.task
async def take_a_moment(total: int) -> None:
    await asyncio.sleep(0.05)
    tally().count(total)


async def _send(name: str, count: int) -> None:
    await broker.startup()
    task = {"nothing": nothing, "increment": increment, "take_a_moment": take_a_moment}[name]
    for _ in range(count):
        await task.kiq(count)
    await broker.shutdown()


def preload(name: str, count: int) -> None:
    asyncio.run(_send(name, count))
