"""The watchdog of an event loop: tells which task blocks it, because the others wait meanwhile."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

__all__ = ["Watchdog"]

BLOCKED_S: Final = 1.0
"""Seconds for which a loop is blocked before the watchdog tells."""
LOOK_S: Final = 0.25


class Watchdog:
    """Looks at an event loop from a thread of its own, from `open` to `close`. Call both in the thread of the loop.

    Args:
        tell: called once for each time that the loop is blocked: with the name of the task, the seconds, and the place in the code.
    """

    def __init__(self, tell: Callable[[str, float, str], object]) -> None:
        self._tell = tell
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="notify-watchdog", daemon=True)

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread."""
        self._loop = loop
        self._tick()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._timer.cancel()
        self._thread.join()

    def _tick(self) -> None:
        self._ticked = time.monotonic()
        self._timer = self._loop.call_later(LOOK_S, self._tick)

    def _run(self) -> None:
        told = 0.0
        while not self._over.wait(LOOK_S):
            ticked = self._ticked
            silent_s = time.monotonic() - ticked
            if silent_s > BLOCKED_S and ticked != told:
                told = ticked
                with suppress(Exception):  # it has moved on meanwhile
                    self._tell(self._task(), silent_s, self._place())

    def _task(self) -> str:
        task = asyncio.current_task(self._loop)
        return "" if task is None else task.get_name()

    def _place(self) -> str:
        """Return where the thread of the loop is."""
        frame = sys._current_frames()[self._loop_thread]
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"
