"""SAQ's side of a throughput round."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from saq import Queue

from benchmarks.async_work import ASYNC_WORK
from benchmarks.tally import AT_ONCE, URL

__all__ = ["preload", "queue", "settings"]


def _function(work: Callable[[int], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def run(_context: dict[Any, Any], *, total: int) -> None:
        await work(total)

    return run


queue = Queue.from_url(os.environ[URL])
settings = {
    "queue": queue,
    "functions": [(name, _function(work)) for name, work in ASYNC_WORK.items()],
    "concurrency": int(os.environ.get(AT_ONCE, "100")),
}


async def _send(name: str, count: int) -> None:
    for _ in range(count):
        await queue.enqueue(name, total=count)
    await queue.disconnect()


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each."""
    asyncio.run(_send(name, count))
