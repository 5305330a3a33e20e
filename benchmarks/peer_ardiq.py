"""ArdiQ's sides of a throughput round, with results as it comes."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

from ardiq import Ardiq

from benchmarks.async_work import ASYNC_WORK
from benchmarks.tally import AT_ONCE, URL
from benchmarks.work import WORK

__all__ = ["app", "at_once", "coroutines", "preload_coroutines", "preload_processes", "processes"]

Made = tuple[Ardiq, dict[str, Any]]
MOST: Final = 500
"""Tasks in one call."""


def _app(name: str, work: dict[str, Callable[..., Any]], executor: str = "thread") -> Made:
    made = Ardiq(os.environ[URL], name, concurrency=int(os.environ.get(AT_ONCE, "100")))
    options = {} if executor == "thread" else {"executor": executor}
    return made, {key: made.task(name=key, **options)(function) for key, function in work.items()}


app, IN_THREADS = _app("threads", WORK)
"""Plain functions in threads of the worker."""
processes, IN_PROCESSES = _app("processes", WORK, "process")
"""Each in a process of its own, which is started for it."""
coroutines, COROUTINES = _app("coroutines", ASYNC_WORK)
"""Coroutines in the event loop of the worker."""


async def _send(made: Ardiq, task: Any, count: int) -> None:
    for start in range(0, count, MOST):
        await made.enqueue_many([task.prepare(count) for _ in range(min(MOST, count - start))])


def at_once(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, 500 in one call."""
    asyncio.run(_send(app, IN_THREADS[name], count))


def preload_processes(name: str, count: int) -> None:
    """The same for processes."""
    asyncio.run(_send(processes, IN_PROCESSES[name], count))


def preload_coroutines(name: str, count: int) -> None:
    """The same for coroutines."""
    asyncio.run(_send(coroutines, COROUTINES[name], count))
