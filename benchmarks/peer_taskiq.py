"""taskiq's side of a throughput round: its list broker, the fastest of its brokers, and no result backend, as it comes."""

import asyncio
import os

from taskiq_redis import ListQueueBroker

from benchmarks.async_work import ASYNC_WORK
from benchmarks.tally import URL

__all__ = ["broker", "preload"]


broker = ListQueueBroker(os.environ[URL])
TASKS = {name: broker.task(function) for name, function in ASYNC_WORK.items()}


async def _send(name: str, count: int) -> None:
    await broker.startup()
    for _ in range(count):
        await TASKS[name].kiq(count)
    await broker.shutdown()


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each."""
    asyncio.run(_send(name, count))
