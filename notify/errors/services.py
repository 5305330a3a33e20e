"""Errors of the directory, of requests and of state."""

from notify.errors.base import NotifyError

__all__ = [
    "ContendedError",
    "DirectoryError",
    "FencedError",
    "FieldValueError",
    "InvalidServiceError",
    "MissingKeyError",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "RequestsFullError",
    "ServiceKilledError",
    "ServiceNameTakenError",
    "ServiceNotFoundError",
    "ServiceWithdrawnError",
    "StateError",
    "UnknownMethodError",
]


class DirectoryError(NotifyError):
    """A service cannot be registered, found or withdrawn."""


class InvalidServiceError(DirectoryError, ValueError):
    """A service's name, capability or ttl cannot be used."""


class ServiceNameTakenError(DirectoryError):
    """Another service holds the exclusive name."""


class ServiceNotFoundError(DirectoryError, LookupError):
    """No service with that name or capability is in the directory."""


class ServiceWithdrawnError(DirectoryError):
    """The service is no longer in the directory."""


class ServiceKilledError(ServiceWithdrawnError):
    """The service was killed."""


class RequestError(NotifyError):
    """A method of a service cannot be called, or returned no result."""


class UnknownMethodError(RequestError, LookupError):
    """The service exports no method of that name."""


class RequestFailedError(RequestError):
    """The method raised an error, with the type ``error_type`` and the message ``error_message``."""

    def __init__(self, message: str, *, error_type: str = "", error_message: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.error_message = error_message


class RequestTimeoutError(RequestError, TimeoutError):
    """The service did not answer in time."""


class RequestsFullError(RequestError):
    """Too many requests wait for the service."""


class StateError(NotifyError):
    """A state hash cannot be read or written."""


class MissingKeyError(StateError, KeyError):
    """A state hash has no such field."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would show the repr of the message


class FieldValueError(StateError, ValueError):
    """The value of a field has the wrong type for the operation."""


class FencedError(StateError):
    """A write was refused, because the service or the job run that it depends on has ended.

    ``key`` is the Redis key of the hash that describes that service or job.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ContendedError(StateError):
    """Other writes interfered with every attempt of an update."""
