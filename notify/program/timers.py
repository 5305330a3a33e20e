"""Calls at a later time: once or again and again, by priority, cancellable."""

import heapq
import logging
import math
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from typing import Final

from notify.settings import positive

__all__ = ["Priority", "Timer", "Timers"]

IDLE_AFTER_S: Final = 0.05
"""How long nothing else may be due before what is idle gets its turn."""
CLOSE_S: Final = 10.0
"""How long a call in hand may go on when timers are closed."""

log = logging.getLogger(__name__)


class Priority(IntEnum):
    """Which of several calls that are due comes first. What is idle waits until nothing else is about to be."""

    URGENT = 0
    STANDARD = 1
    IDLE = 2


class Timer:
    """One call that was asked for."""

    def __init__(self, callback: Callable[[], object], *, at: float, priority: Priority, every_s: float | None) -> None:
        self.callback = callback
        self.at = at
        self.priority = priority
        self.every_s = every_s
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Call it no more; a call that has begun goes on. May be called again, also within the call."""
        self._cancelled.set()


class Timers:
    """Calls back in one thread, one call at a time, from `open` to `close`; use it as a context manager.

    What a call raises is logged and harms nobody. What is not due yet at the end is not called.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Timer]] = []
        self._due: list[tuple[Priority, float, int, Timer]] = []
        self._order = count()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notify-timers", daemon=True)

    def after(self, delay_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call once, in ``delay_s`` seconds or as soon as its priority lets it.

        Raises:
            SettingsError: the delay is not above 0.
        """
        at = time.monotonic() + positive(delay_s, "delay_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=None))

    def every(self, interval_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call every ``interval_s`` seconds; turns that a slow call missed are left out. Errors as for `after`."""
        at = time.monotonic() + positive(interval_s, "interval_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=interval_s))

    def open(self) -> "Timers":
        self._thread.start()
        return self

    def close(self, *, timeout_s: float = CLOSE_S) -> bool:
        """Call nothing more, and wait for the call in hand, at most ``timeout_s`` seconds. May be called again, also in a call.

        Returns:
            Whether that call has ended.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def __enter__(self) -> "Timers":
        return self.open()

    def __exit__(self, *_: object) -> None:
        if not self.close():
            log.warning("a timer's call is cut short: it was not done in %g s", CLOSE_S)

    def _add(self, timer: Timer) -> Timer:
        with self._changed:
            heapq.heappush(self._waiting, (timer.at, next(self._order), timer))
            self._changed.notify_all()
        return timer

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.callback()
            except BaseException:  # sys.exit() included: it ends the call, not those that are to come
                log.exception("a timer's call failed")
            if timer.every_s is not None and not timer.cancelled:
                turns = max(1, math.ceil((time.monotonic() - timer.at) / timer.every_s))
                timer.at += turns * timer.every_s
                self._add(timer)

    def _next(self) -> Timer | None:
        """Wait for the call whose turn it is; ``None`` at the end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                while self._waiting and self._waiting[0][0] <= now:
                    at, order, timer = heapq.heappop(self._waiting)
                    heapq.heappush(self._due, (timer.priority, at, order, timer))
                if self._due and not self._must_wait(now):
                    timer = heapq.heappop(self._due)[-1]
                    if not timer.cancelled:
                        return timer
                    continue
                self._changed.wait(max(0.0, self._waiting[0][0] - now) if self._waiting else None)
            return None

    def _must_wait(self, now: float) -> bool:
        """Whether all that is due is idle, and something else is about to come."""
        soon = (timer for at, _, timer in self._waiting if at - now < IDLE_AFTER_S)
        return self._due[0][0] is Priority.IDLE and any(timer.priority is not Priority.IDLE for timer in soon)
