"""BlitzQ's sides of a throughput round, all of its reliable kind: a job of a killed worker is delivered again."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from blitzq import Queue

from benchmarks.async_work import ASYNC_WORK
from benchmarks.tally import URL
from benchmarks.work import WORK

__all__ = [
    "at_once",
    "bare",
    "coroutines",
    "preload",
    "preload_async",
    "preload_bare",
    "preload_coroutines",
    "preload_processes",
    "processes",
    "queue",
]


def _queue(name: str, work: dict[str, Callable[..., Any]], *, has_results: bool, executor: str | None = None) -> Queue:
    made = Queue(name, os.environ[URL], namespace=f"blitzq-{name}", store_results=has_results)
    for key, function in work.items():
        made.task(name=key, **({} if executor is None else {"executor": executor}))(function)
    return made


queue = _queue("threads", WORK, has_results=True)
"""Plain functions in threads of the worker, with results: as it comes."""
processes = _queue("processes", WORK, has_results=True, executor="process")
"""The same in a pool of processes."""
bare = _queue("bare", WORK, has_results=False)
"""Plain functions in threads, without results."""
coroutines = _queue("coroutines", ASYNC_WORK, has_results=False)
"""Coroutines in the event loop of the worker, without results: the fastest that it has."""


def _one_by_one(made: Queue, name: str, count: int) -> None:
    task = made.tasks[name]
    for _ in range(count):
        task.enqueue_sync(count)
    made.close_sync()


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs from plain code, one call each."""
    _one_by_one(queue, name, count)


async def _send(name: str, count: int) -> None:
    task = queue.tasks[name]
    for _ in range(count):
        await task.enqueue(count)
    await queue.close()


def preload_async(name: str, count: int) -> None:
    """The same from a coroutine, which saves a thread."""
    asyncio.run(_send(name, count))


def _at_once(made: Queue, name: str, count: int) -> None:
    made.tasks[name].enqueue_many_sync([(count,)] * count)
    made.close_sync()


def at_once(name: str, count: int) -> None:
    """Enqueue ``count`` jobs in one call."""
    _at_once(queue, name, count)


def preload_processes(name: str, count: int) -> None:
    """The same for the pool of processes."""
    _at_once(processes, name, count)


def preload_bare(name: str, count: int) -> None:
    """The same without results."""
    _at_once(bare, name, count)


def preload_coroutines(name: str, count: int) -> None:
    """The same for coroutines."""
    _at_once(coroutines, name, count)
