"""A run of those that are performed side by side, as the main thread of the worker sees it."""

import time
from typing import Any

from workers.line import Place

__all__ = ["Member"]


class Member:
    """A run of the group.

    Args:
        place: its place in the line.
        job: RQ's object for its job.
    """

    def __init__(self, place: Place, job: Any) -> None:
        self.place, self.job = place, job
        self.given = self.began = time.monotonic()
        """When it was given to the horse, and when the worker learnt that it had begun."""
        self.has_begun = False
        self.beaten = self.began

    def begin(self) -> None:
        """Note that it has begun."""
        self.began, self.has_begun = time.monotonic(), True

    @property
    def path(self) -> str:
        """The path of its function."""
        return self.place.function

    @property
    def waited_s(self) -> float:
        """Seconds since it was given to the horse."""
        return time.monotonic() - self.given

    @property
    def age_s(self) -> float:
        """Seconds since it began, as far as the worker knows."""
        return time.monotonic() - self.began
