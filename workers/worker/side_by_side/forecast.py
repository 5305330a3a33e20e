"""Foretells which runs side by side are about to end, so that others are claimed for their places before they do."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from workers.worker.side_by_side.member import Member

__all__ = ["Forecast"]

SOON_S: Final = 0.01
"""Runs that are to end within so many seconds have others claimed ahead for their places."""
WEIGHT: Final = 0.1
"""The weight of the last run in the running mean."""
REST_S: Final = 0.5
"""Seconds without claims ahead after a forecast that was wrong."""


class Forecast:
    """Follows a running mean, for each function, of how long its runs take.

    Args:
        is_enabled: whether any run may be claimed ahead.
    """

    def __init__(self, *, is_enabled: bool) -> None:
        self._is_enabled = is_enabled
        self._means: dict[str, float] = {}
        self._rests_until = 0.0

    def note(self, path: str, seconds: float) -> None:
        """Note how long a run took."""
        mean = self._means.get(path, seconds)
        self._means[path] = mean + WEIGHT * (seconds - mean)

    def failed(self) -> None:
        """Note that runs had to go back to their queue, because those in their places did not end."""
        self._rests_until = time.monotonic() + REST_S

    def ends(self, members: Iterable[Member]) -> tuple[Counter[str], float]:
        """Return how many runs of each function are about to end, and in how many seconds this changes, if none ends or begins before.

        A run that goes on for longer than others is not waited for.

        Args:
            members: the runs, in the order in which they began. Later ones of a function end later.
        """
        found: Counter[str] = Counter()
        later: dict[str, float] = {}
        now = time.monotonic()
        if not self._is_enabled or now < self._rests_until:
            return found, math.inf
        for member in members:
            if not member.has_begun or len(later) == len(self._means):
                break
            left_s = self._means.get(member.path, math.inf) - (now - member.began)
            if left_s > SOON_S:
                later.setdefault(member.path, left_s - SOON_S)
            elif left_s > -SOON_S and member.path not in later:
                found[member.path] += 1
        return found, min(later.values(), default=math.inf)
