"""The jobs that the benchmarks run."""

import threading

from workers import job

__all__ = ["nothing", "sleep"]


@job("bench")
def nothing() -> None:
    """Do nothing."""


@job("bench", needs="bench-service")
def sleep(seconds: float) -> None:
    """Wait, as if at work."""
    threading.Event().wait(seconds)
