"""A flag that a signal handler may set while the same thread waits for it."""

import math
import queue
import time
from typing import Final

__all__ = ["SignalSafeEvent"]

SLICE_S: Final = 0.1
"""How long a signal may go unheard at the most."""


class SignalSafeEvent:
    """Set once and for all, from anywhere.

    ``threading.Event`` is no such thing: a handler that sets it while its own thread is within ``wait`` waits for a lock
    that this thread holds, for ever. Putting into a ``SimpleQueue`` is safe there; Python promises that.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Set it, and let all that wait go on. May be called again, and in a signal handler."""
        self._is_set = True
        self._wakes.put(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout_s`` seconds. Returns whether it is."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not self._is_set:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            try:
                # Not for longer: a signal that another thread received, or that came just before, wakes nobody here, and its
                # handler runs only when this thread does.
                self._wakes.get(timeout=min(SLICE_S, left_s))
            except queue.Empty:
                continue
            self._wakes.put(None)  # for the next one who waits
        return True
