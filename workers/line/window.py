"""The window: how many runs a worker has claimed at most, so that the horse never waits for the server between short jobs."""

from collections.abc import Mapping
from typing import Final

from workers.errors import JobDefinitionError

__all__ = ["MOST_AHEAD", "Window", "window_of"]

WINDOW: Final = "NOTIFY_WINDOW"
"""The environment variable for the window of workers that are given none."""

MOST_AHEAD: Final = 32
"""The most runs that one worker has claimed at a time."""
WORK_S: Final = 0.005
"""Seconds of work that a worker claims ahead."""
SHORT_S: Final = 0.015
"""While jobs take no longer than this, one is claimed ahead at least: between two of them a claim would cost up to a tenth of the time."""
WEIGHT: Final = 0.1
"""The weight of the last job in the running mean."""


class Window:
    """Follows a running mean of how long jobs take: many short jobs are claimed ahead, and no long one.

    Args:
        size: a fixed size instead; 1 claims nothing ahead.

    Raises:
        JobDefinitionError: the size is not one of 1 to 32.
    """

    def __init__(self, size: int | None = None) -> None:
        if size is not None and not 1 <= size <= MOST_AHEAD:
            raise JobDefinitionError(f"a window of {size} jobs: give 1, with which no job is claimed ahead of its turn, to {MOST_AHEAD}")
        self._fixed = size
        self._mean_s: float | None = None

    def note(self, seconds: float) -> None:
        """Note how long a job took."""
        self._mean_s = seconds if self._mean_s is None else self._mean_s + WEIGHT * (seconds - self._mean_s)

    @property
    def size(self) -> int:
        """How many runs to have at most."""
        if self._fixed is not None:
            return self._fixed
        if self._mean_s is None:
            return 1  # nobody knows yet what jobs there are
        least = 2 if self._mean_s <= SHORT_S else 1
        return max(least, min(MOST_AHEAD, int(WORK_S / max(self._mean_s, 1e-6))))


def window_of(environ: Mapping[str, str]) -> int | None:
    """Return the size of the window in the environment, or ``None``. Errors as for `Window`."""
    size = environ.get(WINDOW, "")
    if size and not size.isdigit():
        raise JobDefinitionError(f"${WINDOW} is {size!r}: give a number of jobs, 1 to {MOST_AHEAD}")
    return int(size) if size else None
