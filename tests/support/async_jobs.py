"""Jobs that run side by side in one event loop. They count their effects as those of `sample_jobs` do."""

import asyncio
import os
import time
from typing import Any, NoReturn

import redis
import rq
from rq import Retry

from tests.support.sample_jobs import count, go, note
from workers import Job, StopLadder, current_bus, current_job, job

WAIT_S = 20


async def _released(name: str) -> None:
    """Count the beginning, and wait until `Effects.let_go`, without blocking the loop."""
    count(f"{name}:begun")
    while not current_bus().redis.lpop(go(name)):
        await asyncio.sleep(0.01)  # until it is let go


@job("work", concurrency=100)
async def hold_beside(name: str) -> str:
    note(f"{name}:pid", os.getpid())
    try:
        await _released(name)
    except asyncio.CancelledError:
        count(f"{name}:cancelled")
        raise
    count(f"{name}:done")
    return name


@job("work", concurrency=2)
async def hold_in_pairs(name: str) -> int:
    await _released(name)
    return os.getpid()


@job("work", concurrency=100, needs="svc")
async def hold_with_svc(name: str) -> str:
    return await hold_beside(name)


@job("work", concurrency=100, stop=StopLadder(exception_s=0.2))
async def ignore_its_stop(name: str) -> None:
    count(f"{name}:begun")
    while True:
        try:
            await asyncio.sleep(WAIT_S)  # until it is killed
        except asyncio.CancelledError:
            count(f"{name}:ignored")


@job("work", concurrency=100, stop=StopLadder(flag_s=10))
async def look_at_its_flag(name: str) -> None:
    count(f"{name}:begun")
    while not current_job().stopping:
        await asyncio.sleep(0.01)  # until it is stopped
    count(f"{name}:saw")


@job("work", concurrency=100)
async def block(seconds: float) -> None:
    count("block:begun")
    time.sleep(seconds)  # this blocks the loop, as a job must not


@job("work", concurrency=100)
async def who(name: str) -> list[Any]:
    """Return which jobs the code finds as the current one, before and after the others had their turn, and in a thread."""
    found: list[Any] = [current_job().id, rq.get_current_job().id]  # type: ignore[union-attr]
    await _released(name)
    return [*found, current_job().id, await asyncio.to_thread(lambda: current_job().id)]


@job("work", concurrency=100)
async def fail_beside(name: str) -> NoReturn:
    await _released(name)
    raise RuntimeError(f"{name} failed")


@job("work", concurrency=100)
async def ask_for_retry(name: str) -> Retry:
    count(f"{name}:begun")
    await asyncio.sleep(0)
    return Retry(max=3)


@job("work", concurrency=100)
async def write_until_told(name: str, store: str) -> None:
    """Write to a fenced state in a loop, although the job is stopped."""
    count(f"{name}:begun")
    with current_bus() as bus:
        for number in range(WAIT_S * 100):
            try:
                await asyncio.sleep(0.01)  # a stop comes here
            except asyncio.CancelledError:
                bus.state(store)["after"] = number
                raise


@job("work", concurrency=100)
async def quick(number: int) -> int:
    await asyncio.sleep(0.005 * (number % 7))  # so that they end in another order
    count(f"quick:{number}")
    return number


async def _begin(name: str, seconds: float) -> None:
    """Count the beginning; wait for so long, or with a negative number until `Effects.let_go`."""
    if seconds < 0:
        await _released(name)
    else:
        count(f"{name}:begun")
        await asyncio.sleep(seconds)  # what it does


@job("work", concurrency=2)
async def quick_or_held(name: str, seconds: float) -> None:
    await _begin(name, seconds)


@job("work", concurrency=2, needs="svc")
async def quick_or_held_with_svc(name: str, seconds: float) -> None:
    await _begin(name, seconds)


@job("work", concurrency=4)
async def quick_few(number: int) -> None:
    note(f"few:{number}:at", time.monotonic_ns())
    await _begin(f"few:{number}", 0.005 * (number % 3))


@job("work", concurrency=3)
async def change_the_process(folder: str) -> str:
    os.chdir(folder)
    await asyncio.sleep(0.01)  # others have their turn
    return os.getcwd()


@job("work")
def in_turn(name: str) -> str:
    """A job of another kind."""
    count(f"{name}:begun")
    return os.getcwd()


@job("work", concurrency=100)
async def take_a_moment() -> None:
    await asyncio.sleep(0.05)  # what it does


@job("work")
def tell_of_success(job: Job, connection: redis.Redis, result: Any) -> None:
    connection.hincrby("rq:test:effects", f"success:{job.args[0]}")


@job("work")
def tell_of_failure(job: Job, connection: redis.Redis, *_: Any) -> None:
    connection.hincrby("rq:test:effects", f"failure:{job.args[0]}")


@job("work")
def tell_of_stop(job: Job, connection: redis.Redis) -> None:
    connection.hincrby("rq:test:effects", f"stop:{job.args[0]}")
