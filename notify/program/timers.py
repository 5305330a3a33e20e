"""Timers: calls at a later time, once or repeatedly, by priority, cancellable."""

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
"""An idle call waits while another call is due within this time."""
CLOSE_S: Final = 10.0
"""How long a call that runs may go on when the timers are closed."""

log = logging.getLogger(__name__)


class Priority(IntEnum):
    """The order of calls that are due. An idle call also waits while another one is about to be due."""

    URGENT = 0
    STANDARD = 1
    IDLE = 2


class Timer:
    """A scheduled call. Made by `Timers.after` and `Timers.every`."""

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
        """Make no more calls; a call that runs continues. May be called again, also within the call."""
        self._cancelled.set()


class Timers:
    """Makes scheduled calls in one thread, one at a time, from `open` to `close`; use it as a context manager.

    Exceptions in a call are logged. Calls that are not due before `close` are not made.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Timer]] = []
        self._due: list[tuple[Priority, float, int, Timer]] = []
        self._order = count()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="notify-timers", daemon=True)

    def after(self, delay_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call ``callback`` once, in ``delay_s`` seconds or, depending on its priority, later.

        Raises:
            SettingsError: the delay is not above 0.
        """
        at = time.monotonic() + positive(delay_s, "delay_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=None))

    def every(self, interval_s: float, callback: Callable[[], object], *, priority: Priority = Priority.STANDARD) -> Timer:
        """Call ``callback`` every ``interval_s`` seconds; times that a slow call missed are skipped. Errors as for `after`."""
        at = time.monotonic() + positive(interval_s, "interval_s")
        return self._add(Timer(callback, at=at, priority=priority, every_s=interval_s))

    def open(self) -> "Timers":
        self._thread.start()
        return self

    def close(self, *, timeout_s: float = CLOSE_S) -> bool:
        """Make no more calls, and wait at most ``timeout_s`` seconds for the one that runs. May be called again, also in a call.

        Returns:
            Whether no call runs any more.
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
            heapq.heappush(self._waiting, (timer.at, next(self._order), timer))
            self._changed.notify_all()
        return timer

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.callback()
            except BaseException:  # sys.exit() included: it ends this call only
                log.exception("the call of a timer raised an exception")
            if timer.every_s is not None and not timer.cancelled:
                turns = max(1, math.ceil((time.monotonic() - timer.at) / timer.every_s))
                timer.at += turns * timer.every_s
                self._add(timer)

    def _next(self) -> Timer | None:
        """Wait for the next call to make; ``None`` after `close`."""
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
        """Return whether all due calls are idle and another call is about to be due."""
        soon = (timer for at, _, timer in self._waiting if at - now < IDLE_AFTER_S)
        return self._due[0][0] is Priority.IDLE and any(timer.priority is not Priority.IDLE for timer in soon)
