"""arq's side of a throughput round. It looks at its queue at intervals: here much oftener than by default."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Function, func

from benchmarks.async_work import ASYNC_WORK
from benchmarks.tally import AT_ONCE, URL

__all__ = ["WorkerSettings", "preload"]


def _function(name: str, work: Callable[[int], Awaitable[None]]) -> Function:
    async def run(_context: dict[Any, Any], total: int) -> None:
        await work(total)

    return func(run, name=name)


class WorkerSettings:
    """What its command line reads. A result of ``None`` is kept only if it is asked for: as with the others, it is not."""

    functions = tuple(_function(name, work) for name, work in ASYNC_WORK.items())
    redis_settings = RedisSettings.from_dsn(os.environ[URL])
    max_jobs = int(os.environ.get(AT_ONCE, "100"))
    poll_delay = 0.005
    keep_result = 0


async def _send(name: str, count: int) -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    for _ in range(count):
        await pool.enqueue_job(name, count)
    await pool.aclose()


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each."""
    asyncio.run(_send(name, count))
