"""arq's side of a round of jobs that wait side by side. It looks at its queue at intervals: here much oftener than by default."""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.tally import URL, tally

__all__ = ["WorkerSettings", "preload", "take_a_moment"]


async def take_a_moment(_context: dict[Any, Any], total: int) -> None:
    await asyncio.sleep(0.05)
    tally().count(total)


class WorkerSettings:
    """What its command line reads."""

    functions = (take_a_moment,)
    redis_settings = RedisSettings.from_dsn(os.environ[URL])
    max_jobs = 100
    poll_delay = 0.005


async def _send(count: int) -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    for _ in range(count):
        await pool.enqueue_job("take_a_moment", count)
    await pool.aclose()


def preload(_name: str, count: int) -> None:
    """Put ``count`` jobs into the queue."""
    asyncio.run(_send(count))
