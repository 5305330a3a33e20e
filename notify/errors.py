"""The errors of ``notify``, all derived from `NotifyError`.

::

    NotifyError
    ├── SettingsError                a setting, URL, interval or ttl cannot be used
    ├── ServerError
    │   ├── ServerUnreachableError   no server answers at the address, or it stopped answering
    │   ├── ServerRefusedError       the server answered with an error
    │   └── EmbeddedServerError      the private server cannot be started or stopped
    │       └── NoServerBinaryError  no server program is installed
    ├── ClosedError                  an object was used after it was closed
    ├── EventError
    │   ├── InvalidTopicError
    │   │   └── TopicTypeError       a topic is not text
    │   ├── ContentsError            the contents do not fit JSON or the message class
    │   ├── PayloadTooLargeError
    │   ├── PublisherFullError       the queue of a background publisher is full
    │   ├── DuplicateMessageError    two message classes have the same name
    │   └── UnknownMessageError
    ├── SubscriptionError
    │   ├── EmptySubscriptionError
    │   ├── InvalidPositionError     a subscription cannot begin at the position
    │   ├── DuplicateClientNameError
    │   └── NotSubscribedError
    ├── DirectoryError
    │   ├── InvalidServiceError      a name, capability or ttl cannot be registered
    │   ├── ServiceNameTakenError
    │   ├── ServiceNotFoundError
    │   └── ServiceWithdrawnError    the service is not registered any more
    │       └── ServiceKilledError
    ├── RequestError
    │   ├── UnknownMethodError       the service exports no such method
    │   ├── RequestFailedError       the method raised an error
    │   ├── RequestTimeoutError
    │   └── RequestsFullError        too many requests wait for the service
    ├── StateError
    │   ├── MissingKeyError          the field does not exist
    │   ├── FieldValueError          the value of a field has the wrong type for an operation
    │   ├── FencedError              the service or the job run that a write depends on has ended
    │   └── ContendedError           other writes interfered with every attempt of an update
    └── FlowError
        ├── WiringError              nodes and links do not make a flow
        └── UnroutedError            no outlet takes an item

``workers.errors`` continues the tree. Public calls never raise the errors of redis-py and RQ: such an error is the ``__cause__`` of
one of the errors here. Some errors are a built-in error as well (``ValueError``, ``LookupError``) and can be caught as that.
"""

from collections.abc import Iterable
from typing import Self

__all__ = [
    "ClosedError",
    "ContendedError",
    "ContentsError",
    "DirectoryError",
    "DuplicateClientNameError",
    "DuplicateMessageError",
    "EmbeddedServerError",
    "EmptySubscriptionError",
    "EventError",
    "FencedError",
    "FieldValueError",
    "FlowError",
    "InvalidPositionError",
    "InvalidServiceError",
    "InvalidTopicError",
    "MissingKeyError",
    "NoServerBinaryError",
    "NotSubscribedError",
    "NotifyError",
    "PayloadTooLargeError",
    "PublisherFullError",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "RequestsFullError",
    "ServerError",
    "ServerRefusedError",
    "ServerUnreachableError",
    "ServiceKilledError",
    "ServiceNameTakenError",
    "ServiceNotFoundError",
    "ServiceWithdrawnError",
    "SettingsError",
    "StateError",
    "SubscriptionError",
    "TopicTypeError",
    "UnknownMessageError",
    "UnknownMethodError",
    "UnroutedError",
    "WiringError",
]


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


class ServerError(NotifyError):
    """The Redis server cannot be used."""


class ServerUnreachableError(ServerError, ConnectionError):
    """The server does not answer at its address."""


class ServerRefusedError(ServerError):
    """The server answered with an error."""


class EmbeddedServerError(ServerError):
    """The private server cannot be started or stopped."""


class NoServerBinaryError(EmbeddedServerError):
    """No Redis or Valkey server is installed on this machine."""


class ClosedError(NotifyError):
    """An object, such as a bus or a subscriber, was used after it was closed."""


class EventError(NotifyError):
    """An event cannot be published or decoded."""


class InvalidTopicError(EventError, ValueError):
    """A topic is empty, too long, or a pattern where one topic is needed."""


class TopicTypeError(InvalidTopicError, TypeError):
    """A topic is not text."""


class ContentsError(EventError, TypeError):
    """The contents of an event are missing, or do not fit JSON or the message class."""


class PayloadTooLargeError(EventError, ValueError):
    """An encoded event, request or call is larger than ``max_payload_bytes``."""


class PublisherFullError(EventError):
    """The queue of a background publisher is full."""


class DuplicateMessageError(EventError):
    """Another message class has the same name."""


class UnknownMessageError(EventError, LookupError):
    """No message class has that name."""


class SubscriptionError(NotifyError):
    """A subscription cannot be made or ended."""


class EmptySubscriptionError(SubscriptionError, ValueError):
    """A subscription names no topic."""


class InvalidPositionError(SubscriptionError, ValueError):
    """A position is not the id of an event, or does not fit the topics."""


class DuplicateClientNameError(SubscriptionError):
    """A client with that name is subscribed to the topic already."""


class NotSubscribedError(SubscriptionError, LookupError):
    """The client is not subscribed to the topic."""


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


class FlowError(NotifyError):
    """A flow cannot be built or run."""


class WiringError(FlowError, ValueError):
    """The nodes and links of a flow do not fit together."""


class UnroutedError(FlowError, LookupError):
    """A stage with several outlets has none for an item."""
