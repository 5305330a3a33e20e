"""The end of a service: it comes once, and every later use of the service raises its error."""

import threading
from collections.abc import Callable

from notify.errors import ServiceWithdrawnError

__all__ = ["Ending"]


class Ending:
    """Whether and why a service has ended."""

    def __init__(self) -> None:
        self._error: ServiceWithdrawnError | None = None
        self._changed = threading.Condition()

    @property
    def has_come(self) -> bool:
        """Whether the service has ended."""
        return self._error is not None

    def come(self, error: ServiceWithdrawnError) -> None:
        """End the service; the first error counts."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for the end. Returns false if it has not come after ``timeout_s`` seconds."""
        self.wait_for(lambda: False, timeout_s)
        return self.has_come

    def wait_for(self, condition: Callable[[], bool], timeout_s: float | None) -> None:
        """Wait until a condition holds, which each `notify` has checked again, until the end, or for ``timeout_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.has_come or condition(), timeout_s)

    def notify(self) -> None:
        """Let every `wait_for` check its condition again."""
        with self._changed:
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error of the service if it has ended."""
        if self._error is not None:
            raise type(self._error)(*self._error.args)  # a copy, because each raise lengthens the traceback of an error
