"""When a worker process that died is started again, and when it no longer is."""

import random
import time
from collections import deque
from typing import Final

__all__ = ["FIRST_PAUSE_S", "MAX_PAUSE_S", "MAX_RESTARTS", "WINDOW_S", "Restarts"]

FIRST_PAUSE_S: Final = 1.0
"""Seconds between the first two starts at least."""
MAX_PAUSE_S: Final = 10.0
"""The longest pause between two starts."""
MAX_RESTARTS: Final = 10
WINDOW_S: Final = 300.0


class Restarts:
    """Counts the deaths of one worker of a pool.

    Args:
        limit: how many restarts within the window are allowed; ``None``: no limit.
        window_s: the length of the window.
    """

    def __init__(self, *, limit: int | None, window_s: float) -> None:
        self._limit, self._window_s = limit, window_s
        self._deaths: deque[float] = deque()

    def next_pause(self) -> float | None:
        """Record a death.

        Returns:
            The seconds that must lie between the last start and the next one. They double with each death within the window, up to
            `MAX_PAUSE_S`, times a random factor between 0.75 and 1. ``None`` if the limit is reached: no further start.
        """
        now = time.monotonic()
        while self._deaths and now - self._deaths[0] > self._window_s:
            self._deaths.popleft()
        count = len(self._deaths)
        if self._limit is not None and count >= self._limit:
            return None
        self._deaths.append(now)
        return float(min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(count, 10))) * random.uniform(0.75, 1.0)
