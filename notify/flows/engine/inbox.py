"""The bounded queue in front of a stage, and how a stage waits for items and for room.

One thread or task takes from an inbox, several may put into it. Putting and taking use the atomic operations of a deque and no lock: a
waiting side says so in a flag *before* it looks once more, and the other side looks at the flag *after* its own step, so one of the two
always sees the other.
"""

import asyncio
import queue
import threading
from collections import deque
from typing import Any, Final, Protocol

__all__ = ["AsyncParker", "Inbox", "Parker", "ThreadParker"]


SHORT: Final = 16
"""In a queue that is no longer than this, each free place is used at once."""


class Parker(Protocol):
    """Where a stage waits. `set` may be called from any thread; a wait may end without cause, so each waiter looks again."""

    def set(self) -> None:
        """End the present wait, or the next one."""

    async def wait(self, timeout_s: float | None) -> None:
        """Wait until `set` is called, at most ``timeout_s`` seconds."""


class ThreadParker:
    """Where a stage waits that has a thread of its own. The coroutine of such a stage never suspends: its thread blocks."""

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may be called in a signal handler

    def set(self) -> None:
        self._tokens.put(None)

    async def wait(self, timeout_s: float | None) -> None:
        self.block(timeout_s)

    def block(self, timeout_s: float | None) -> None:
        """Wait as `wait` does, in code that is no coroutine."""
        try:
            self._tokens.get(timeout=timeout_s)
        except queue.Empty:
            return


class AsyncParker:
    """Where a stage waits that is a task of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()
        self._thread: int | None = None

    def set(self) -> None:
        if threading.get_ident() == self._thread:
            self._event.set()
            return
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    async def wait(self, timeout_s: float | None) -> None:
        self._thread = threading.get_ident()
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Inbox:
    """A bounded queue of items.

    Args:
        max_items: how many items may wait. Each putter may exceed it by one.
        parker: where the stage that takes the items waits.
        inputs: how many links put items into it; the stage ends when all of them have ended.
    """

    __slots__ = ("_lock", "blocked", "inputs", "is_waiting", "items", "low", "max_items", "parker")

    def __init__(self, max_items: int, parker: Parker, inputs: int) -> None:
        self.items: deque[Any] = deque()
        self.max_items = max_items
        self.low = max_items // 2 if max_items > SHORT else max_items - 1
        """Those that wait for room go on at this length: to wake them for each item of a long queue would cost more than the item."""
        self.parker = parker
        self.inputs = inputs
        self.is_waiting = False
        self.blocked: deque[Parker] = deque()
        self._lock = threading.Lock()

    def put(self, item: Any) -> bool:
        """Add an item. Returns whether the inbox is full now: then the putter waits for room before it goes on."""
        self.items.append(item)
        if self.is_waiting:
            self.is_waiting = False
            self.parker.set()
        return len(self.items) >= self.max_items

    def unblock(self) -> None:
        """Wake all that wait for room."""
        while self.blocked:
            self.blocked.popleft().set()

    def end_input(self) -> None:
        """Record the end of one input."""
        with self._lock:
            self.inputs -= 1
        self.parker.set()

    async def room(self, parker: Parker) -> None:
        """Wait, as a putter, until the inbox is not full any more, or something else sets ``parker``."""
        self.blocked.append(parker)
        if len(self.items) >= self.max_items:
            await parker.wait(None)
