"""What came in and waits for the flow: bounded, so that clients are not read while the flow is slower than they are."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Intake"]

MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 4 * 1024 * 1024
"""The most that waits. Each read from a client may exceed it once."""


class Intake:
    """A bounded queue of lists of items. Use it in one event loop.

    Args:
        pause: called when it is full.
        resume: called when there is room again.
    """

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        self._chunks: deque[tuple[list[Any], int]] = deque()
        self._items = self._bytes = 0
        self._event = asyncio.Event()
        self.is_paused = False
        self.is_closed = False

    def put(self, items: list[Any], size: int) -> None:
        """Add items that were ``size`` bytes."""
        self._chunks.append((items, size))
        self._items += len(items)
        self._bytes += size
        self._event.set()
        if not self.is_paused and (self._items >= MAX_ITEMS or self._bytes >= MAX_BYTES):
            self.is_paused = True
            self._pause()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and more may come."""
        return not self._chunks and not self.is_closed

    def close(self) -> None:
        """Say that nothing more comes: `get` returns what is left, and then ``None``."""
        self.is_closed = True
        self._event.set()

    async def get(self) -> list[Any] | None:
        """Wait for items, and return them; ``None`` at the end."""
        while not self._chunks:
            if self.is_closed:
                return None
            self._event.clear()
            await self._event.wait()
        items, size = self._chunks.popleft()
        self._items -= len(items)
        self._bytes -= size
        if self.is_paused and self._items <= MAX_ITEMS // 2 and self._bytes <= MAX_BYTES // 2:
            self.is_paused = False
            self._resume()
        return items
