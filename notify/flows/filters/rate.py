"""The throttle: at most so many items a second."""

import time
from typing import Any

from notify.flows.items import DROPPED
from notify.flows.protocol import Context, Stage
from notify.settings import positive

__all__ = ["throttle"]


def throttle(per_s: float, *, drop: bool = False) -> Stage:
    """Return a stage that hands on at most ``per_s`` items a second, evenly.

    Args:
        per_s: items a second; below 1 for less than one.
        drop: what comes too early is dropped, and counted; by default it waits, and holds back what is before it.

    Raises:
        SettingsError: ``per_s`` is not above 0.
    """
    return Throttle(1 / positive(per_s, "per_s"), drop)


class Throttle(Stage):
    """The stage that `throttle` returns."""

    def __init__(self, pause_s: float, drop: bool) -> None:
        self._pause_s, self._drop = pause_s, drop
        self._next_at = 0.0

    def open(self, context: Context) -> None:
        self._context = context

    def take(self, item: Any) -> Any:
        now = time.monotonic()
        if now < self._next_at and (self._drop or not self._context.sleep(self._next_at - now)):
            return DROPPED
        self._next_at = max(now, self._next_at) + self._pause_s
        return [item]
