"""An event that a signal handler may set even while the thread that it interrupts waits for the event."""

import math
import queue
import time
from typing import Final

__all__ = ["SignalSafeEvent"]

SLICE_S: Final = 0.1
"""The longest time until a waiting main thread handles a signal."""


class SignalSafeEvent:
    """An event that is set once, from any thread or signal handler.

    ``threading.Event`` can deadlock here: if the signal interrupts a thread inside ``wait``, the handler waits for a lock that this
    thread holds. ``SimpleQueue.put`` is documented to be safe in a signal handler.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def is_set(self) -> bool:
        """Whether the event was set."""
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
                # In slices: Python runs signal handlers in the main thread only. A signal that arrives in another thread, or just
                # before the call, does not interrupt `get`: its handler would not run before `get` returns.
                self._wakes.get(timeout=min(SLICE_S, left_s))
            except queue.Empty:
                continue
            self._wakes.put(None)  # wakes the next waiting thread
        return True
