"""The jobs that the benchmarks run."""

import threading
from typing import Final

from workers import current_bus, current_job, job

__all__ = ["EFFECTS", "affect", "keep", "nothing", "sleep", "take_note"]

EFFECTS: Final = "bench:effects"
"""A list of the jobs that had an effect."""


@job("bench")
def nothing() -> None:
    """Do nothing."""


@job("bench")
def keep(_: str) -> None:
    """Take an argument, which may be large."""


@job("bench", needs="bench-service")
def sleep(seconds: float) -> None:
    """Sleep, in place of work."""
    threading.Event().wait(seconds)


@job("bench", needs="bench-service")
def take_note(number: int) -> int:
    """Return what was given: a small job that needs a service."""
    return number


@job("bench-losses", needs="bench-service")
def affect() -> None:
    """Record an effect, and sleep for a moment."""
    current_bus().redis.rpush(EFFECTS, current_job().id)
    threading.Event().wait(0.005)
