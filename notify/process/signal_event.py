"""An event that a signal handler may set while the thread it interrupted waits for it."""

import math
import queue
import time
from typing import Final

__all__ = ["SignalSafeEvent"]

SLICE_S: Final = 0.1
"""The longest time after which a waiting thread handles a signal."""


class SignalSafeEvent:
    """An event that is set once, from any thread or signal handler.

    ``threading.Event`` is not safe for that: if a signal handler sets it while the interrupted thread is inside ``wait``, the
    handler waits forever for a lock of that thread. ``SimpleQueue.put`` is documented to be safe in this case.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Set the event and wake all waiting threads. May be called again, also in a signal handler."""
        self._is_set = True
        self._wakes.put(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the event is set, at most ``timeout_s`` seconds. Returns whether it is set."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not self._is_set:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            try:
                # In slices: a signal that another thread received, or that arrived just before the call, does not interrupt
                # `get`, and its handler runs only when this thread runs.
                self._wakes.get(timeout=min(SLICE_S, left_s))
            except queue.Empty:
                continue
            self._wakes.put(None)  # wakes the next waiting thread
        return True
