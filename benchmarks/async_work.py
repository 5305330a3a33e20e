"""The coroutines that the asynchronous sides of a throughput round run as jobs, the same for all of them."""

import asyncio
import os
from functools import cache

import redis.asyncio

from benchmarks.tally import COUNTER, URL, tally

__all__ = ["ASYNC_WORK", "increment", "nothing", "pause_1ms", "pause_10ms", "take_a_moment"]


@cache
def _client() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(os.environ[URL])


async def nothing(total: int) -> None:
    """Do nothing but be counted."""
    tally().count(total)


async def increment(total: int) -> None:
    """One command."""
    await _client().incr(COUNTER)
    tally().count(total)


async def pause_1ms(total: int) -> None:
    """Wait for 1 ms, in place of work."""
    await asyncio.sleep(0.001)
    tally().count(total)


async def pause_10ms(total: int) -> None:
    """Wait for 10 ms, in place of work."""
    await asyncio.sleep(0.01)
    tally().count(total)


async def take_a_moment(total: int) -> None:
    """Wait for 50 ms, beside others."""
    await asyncio.sleep(0.05)
    tally().count(total)


ASYNC_WORK = {function.__name__: function for function in (nothing, increment, pause_1ms, pause_10ms, take_a_moment)}
