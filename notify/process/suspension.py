"""Holding up a shutdown until work in hand is finished."""

import threading
import time

__all__ = ["Suspension", "Suspensions"]


class Suspension:
    """One reason to wait with the shutdown, until `resume`; as a context manager, until the end of the block."""

    def __init__(self, owner: "Suspensions") -> None:
        self._owner = owner
        self._resumed = threading.Lock()

    def resume(self) -> None:
        """Hold up nothing any more. May be called again, from any thread."""
        if self._resumed.acquire(blocking=False):
            self._owner.release()

    def __enter__(self) -> "Suspension":
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()


class Suspensions:
    """Counts who holds a shutdown up."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def take(self) -> Suspension:
        with self._changed:
            self._count += 1
        return Suspension(self)

    def release(self) -> None:
        """Called by a `Suspension`, once."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nobody holds it up, at most ``timeout_s`` seconds. Returns whether that is so."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._count:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return True

    def __len__(self) -> int:
        return self._count
