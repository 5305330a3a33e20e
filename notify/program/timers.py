"""Timers: call functions at a later time, once or repeatedly, in the order of their priority."""

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
"""A due call of priority `Priority.IDLE` waits while a call of higher priority will be due within this time."""
CLOSE_S: Final = 10.0
"""How long `Timers.close` waits for a call in progress, by default."""

log = logging.getLogger(__name__)


class Priority(IntEnum):
    """The order of calls that are due. An idle call also waits while a call of higher priority will be due very soon."""

    URGENT = 0
    STANDARD = 1
    IDLE = 2


class Timer:
    """A scheduled call. Made by `Timers.after` and `Timers.every`. ``at`` is the time of the next call, by ``time.monotonic``."""

    def __init__(self, callback: Callable[[], object], *, at: float, priority: Priority, every_s: float | None) -> None:
        self.callback = callback
        self.at = at
        self.priority = priority
        self.every_s = every_s
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Make no more calls; a call in progress continues. May be called again, also within the call."""
        self._cancelled.set()


class Timers:
    """Makes scheduled calls in one thread, one at a time, from `open` to `close`; use it as a context manager.

    Exceptions in a call are logged. Calls that have not begun before `close` are never made.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Timer]] = []
        self._due: list[tuple[Priority, float, int, Timer]] = []
        self._counter = count()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notify-timers", daemon=True)

    def after(self, delay_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call ``callback`` once, after ``delay_s`` seconds, or later if other calls come first.

        Raises:
            SettingsError: the delay is not above 0.
        """
        at = time.monotonic() + positive(delay_s, "delay_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=None))

    def every(self, interval_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call ``callback`` every ``interval_s`` seconds. Times that a slow call misses are skipped. Errors as for `after`."""
        at = time.monotonic() + positive(interval_s, "interval_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=interval_s))

    def open(self) -> "Timers":
        """Start the thread of the timers. May be called once."""
        self._thread.start()
        return self

    def close(self, *, timeout_s: float = CLOSE_S) -> bool:
        """Make no more calls, and wait at most ``timeout_s`` seconds for a call in progress. May be called again, also in a call.

        Returns:
            ``True`` if no call is in progress any more.
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
            log.warning("the call of a timer is cut short: it did not end within %g s", CLOSE_S)

    def _add(self, timer: Timer) -> Timer:
        with self._changed:
            heapq.heappush(self._waiting, (timer.at, next(self._counter), timer))
            self._changed.notify_all()
        return timer

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.callback()
            except BaseException:  # sys.exit() included: it ends this call only
                log.exception("the call of a timer raised an exception")
            if timer.every_s is not None and not timer.cancelled:
                intervals = max(1, math.ceil((time.monotonic() - timer.at) / timer.every_s))
                timer.at += intervals * timer.every_s
                self._add(timer)

    def _next(self) -> Timer | None:
        """Wait until a call is due, and return its timer; ``None`` after `close`."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                while self._waiting and self._waiting[0][0] <= now:
                    at, order, timer = heapq.heappop(self._waiting)
                    heapq.heappush(self._due, (timer.priority, at, order, timer))
                if self._due and not self._must_idle_wait(now):
                    timer = heapq.heappop(self._due)[-1]
                    if not timer.cancelled:
                        return timer
                    continue
                self._changed.wait(max(0.0, self._waiting[0][0] - now) if self._waiting else None)
            return None

    def _must_idle_wait(self, now: float) -> bool:
        """Return whether all due calls are idle and a call of higher priority will be due very soon."""
        soon = (timer for at, _, timer in self._waiting if at - now < IDLE_AFTER_S)
        return self._due[0][0] is Priority.IDLE and any(timer.priority is not Priority.IDLE for timer in soon)
