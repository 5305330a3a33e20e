"""Suspensions: holds that delay a shutdown until work in progress is finished."""

import threading
import time

__all__ = ["Suspension", "Suspensions"]


class Suspension:
    """A hold on the shutdown until `resume`; as a context manager, until the end of the block."""

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
    """Counts the holds on the shutdown."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def take(self) -> Suspension:
        """Return a new hold."""
        with self._changed:
            self._count += 1
        return Suspension(self)

    def release(self) -> None:
        """Called once by each `Suspension`."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is no hold, at most ``timeout_s`` seconds. Returns whether there is none."""
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
