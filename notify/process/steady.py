"""A clock for spans of time on this machine."""

import time
from typing import Final

__all__ = ["steady_s"]

CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_s() -> float:
    """Return the time of a clock, in seconds since some moment, that never jumps, and goes on while the machine is suspended.

    ``time.monotonic`` stands still then, on Linux: a process that measures by it how old an answer of the server is takes an answer from
    before the suspension for a new one. Pauses and timeouts may go by ``time.monotonic``. It is the same clock for all processes.
    """
    return time.clock_gettime(CLOCK)
