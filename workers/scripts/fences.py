"""The fences of the runs of one worker process: a random text, and a number that grows with each run."""

import os
from typing import Final

__all__ = ["Fences", "fence_of", "number_in"]

BASE_BYTES: Final = 12
NUMBER_DIGITS: Final = 8


class Fences:
    """Hands out fences. Each process and each object has a base of its own, so no two runs have the same fence."""

    def __init__(self) -> None:
        self.base = os.urandom(BASE_BYTES).hex()
        self._last = 0

    def take(self, count: int = 1) -> int:
        """Return the first of that many numbers, which nobody else gets."""
        first = self._last + 1
        self._last += count
        return first

    def fence(self, number: int) -> str:
        """Return the fence with a number."""
        return fence_of(self.base, number)


def fence_of(base: str, number: int) -> str:
    """Return the fence with a base and a number; ``refill.lua`` builds the same."""
    return f"{base}{number:0{NUMBER_DIGITS}x}"


def number_in(fence: str) -> int:
    """Return the number of a fence; 0 for a fence of another kind."""
    try:
        return int(fence[2 * BASE_BYTES :], 16) if len(fence) >= 2 * BASE_BYTES + NUMBER_DIGITS else 0
    except ValueError:
        return 0
