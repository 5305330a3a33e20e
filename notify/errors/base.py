"""The base class of all errors, and those that any part may raise."""

from collections.abc import Iterable
from typing import Self

__all__ = ["ClosedError", "NotifyError", "SettingsError"]


class NotifyError(Exception):
    """The base class of all errors of Notify.

    An error about a service says about which: ``service`` is its name, or empty; ``incarnation`` its incarnation if that is known; and
    ``capabilities`` are those for which it was looked up, or which it had.
    """

    service: str = ""
    incarnation: int | None = None
    capabilities: tuple[str, ...] = ()

    def about(self, service: str = "", *, incarnation: int | None = None, capabilities: Iterable[str] = ()) -> Self:
        """Set the service that the error is about, and return the error."""
        self.service, self.incarnation, self.capabilities = service, incarnation, tuple(capabilities)
        return self


class SettingsError(NotifyError, ValueError):
    """A setting has a value that cannot be used."""


class ClosedError(NotifyError):
    """An object, such as a bus or a subscriber, was used after it was closed."""
