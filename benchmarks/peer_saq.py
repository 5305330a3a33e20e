"""SAQ's side of a round of jobs that wait side by side."""

import asyncio
import os
from typing import Any

from saq import Queue

from benchmarks.tally import URL, tally

__all__ = ["preload", "queue", "settings", "take_a_moment"]


async def take_a_moment(_context: dict[Any, Any], *, total: int) -> None:
    await asyncio.sleep(0.05)
    tally().count(total)


queue = Queue.from_url(os.environ[URL])
settings = {"queue": queue, "functions": [take_a_moment], "concurrency": 100}


async def _send(count: int) -> None:
    for _ in range(count):
        await queue.enqueue("take_a_moment", total=count)
    await queue.disconnect()


def preload(_name: str, count: int) -> None:
    """Put ``count`` jobs into the queue."""
    asyncio.run(_send(count))
