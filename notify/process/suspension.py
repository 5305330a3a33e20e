"""Suspensions: holds that delay a shutdown until work in progress is finished."""

import threading
import time

__all__ = ["Suspension", "Suspensions"]


class Suspension:
    """A hold that delays a shutdown until `resume` is called or, as a context manager, until the end of the block."""

    def __init__(self, owner: "Suspensions") -> None:
        self._owner = owner
        self._resumed = threading.Lock()

    def resume(self) -> None:
        """Release the hold. May be called again, from any thread."""
        if self._resumed.acquire(blocking=False):
            self._owner.release()

    def __enter__(self) -> "Suspension":
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()


class Suspensions:
    """Counts the holds that delay a shutdown, and waits until none is left."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def take(self) -> Suspension:
        """Add a hold and return it."""
        with self._changed:
            self._count += 1
        return Suspension(self)

    def release(self) -> None:
        """Remove a hold; each `Suspension` calls this once."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until no hold is left, at most ``timeout_s`` seconds. Returns whether none is left."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._count:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return True

    def __len__(self) -> int:
        """Return how many holds there are."""
        return self._count
