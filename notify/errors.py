"""Every error that ``notify`` raises, under one base.

::

    NotifyError
    ├── SettingsError                a setting, a URL, an interval or a ttl that cannot be
    ├── ServerError
    │   ├── ServerUnreachableError   nobody answers at the address, or stopped answering
    │   ├── ServerRefusedError       the server answered, with an error of its own
    │   └── EmbeddedServerError      the private server would not start
    │       └── NoServerBinaryError  there is none to start
    ├── ClosedError                  used after close
    ├── EventError
    │   ├── InvalidTopicError
    │   │   └── TopicTypeError       a topic that is no text
    │   ├── ContentsError            contents that JSON cannot hold
    │   ├── PayloadTooLargeError
    │   ├── PublisherFullError       a background publisher has no room for more
    │   ├── DuplicateMessageError    two message classes of one name
    │   └── UnknownMessageError
    ├── SubscriptionError
    │   ├── EmptySubscriptionError
    │   ├── InvalidPositionError     a position from which nothing can be resumed
    │   ├── DuplicateClientNameError
    │   └── NotSubscribedError
    ├── DirectoryError
    │   ├── InvalidServiceError      a name, capability or ttl that cannot be registered
    │   ├── ServiceNameTakenError
    │   ├── ServiceNotFoundError
    │   └── ServiceWithdrawnError    a service used after its end
    │       └── ServiceKilledError
    ├── RequestError
    │   ├── UnknownMethodError       the service exports no such method
    │   ├── RequestFailedError       the method raised an error
    │   ├── RequestTimeoutError
    │   └── RequestsFullError        too many requests wait for the service
    └── StateError
        ├── MissingKeyError          a field that is not there
        ├── FieldValueError          a field whose value a step cannot be applied to
        ├── FencedError              a write of somebody whose service, or whose job, is gone
        └── ContendedError           an update that never met a quiet moment

``workers.errors`` continues the tree. Errors of redis-py and RQ never leave a public call raw: they are the
``__cause__`` of one of these. Those that also are a built-in error (``ValueError``, ``LookupError``) can be caught as that.
"""

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
]


class NotifyError(Exception):
    """The base of every error of Notify."""


class SettingsError(NotifyError, ValueError):
    """A setting has a value that cannot be used."""


class ServerError(NotifyError):
    """Something is wrong between us and the Redis server."""


class ServerUnreachableError(ServerError, ConnectionError):
    """The server does not answer at its address."""


class ServerRefusedError(ServerError):
    """The server answered with an error."""


class EmbeddedServerError(ServerError):
    """The private server could not be started."""


class NoServerBinaryError(EmbeddedServerError):
    """No Redis or Valkey server was found on this machine."""


class ClosedError(NotifyError):
    """The bus, subscriber or service was used after it was closed."""


class EventError(NotifyError):
    """An event cannot be published as it is."""


class InvalidTopicError(EventError, ValueError):
    """A topic's name is empty, too long, or a pattern where one topic is needed."""


class TopicTypeError(InvalidTopicError, TypeError):
    """A topic is no text."""


class ContentsError(EventError, TypeError):
    """The contents hold something that JSON cannot."""


class PayloadTooLargeError(EventError, ValueError):
    """The encoded event is above the payload limit."""


class PublisherFullError(EventError):
    """Too many events wait to be sent."""


class DuplicateMessageError(EventError):
    """Another message class has the same name."""


class UnknownMessageError(EventError, LookupError):
    """No message class has that name."""


class SubscriptionError(NotifyError):
    """A subscription cannot be made or ended as asked."""


class EmptySubscriptionError(SubscriptionError, ValueError):
    """A subscription names no topic."""


class InvalidPositionError(SubscriptionError, ValueError):
    """A position to resume from is no id of an event."""


class DuplicateClientNameError(SubscriptionError):
    """A client of that name is subscribed to the topic already."""


class NotSubscribedError(SubscriptionError, LookupError):
    """The client is not subscribed to the topic."""


class DirectoryError(NotifyError):
    """A service cannot be registered, found or withdrawn as asked."""


class InvalidServiceError(DirectoryError, ValueError):
    """A service's name, capability or ttl cannot be used."""


class ServiceNameTakenError(DirectoryError):
    """Another service holds the exclusive name."""


class ServiceNotFoundError(DirectoryError, LookupError):
    """No service in the directory answers to that."""


class ServiceWithdrawnError(DirectoryError):
    """The service is no longer in the directory."""


class ServiceKilledError(ServiceWithdrawnError):
    """The service was killed."""


class RequestError(NotifyError):
    """A method of a service cannot be called as asked, or gave no result."""


class UnknownMethodError(RequestError, LookupError):
    """The service exports no method of that name."""


class RequestFailedError(RequestError):
    """The method raised an error; ``error_type`` and ``error_message`` are that error's."""

    def __init__(self, message: str, *, error_type: str = "", error_message: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.error_message = error_message


class RequestTimeoutError(RequestError, TimeoutError):
    """The service did not answer in time."""


class RequestsFullError(RequestError):
    """Too many requests wait for the service."""


class StateError(NotifyError):
    """A state hash cannot be read or written as asked."""


class MissingKeyError(StateError, KeyError):
    """A state hash has no such field."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would show the repr of the message


class FieldValueError(StateError, ValueError):
    """A field of a state holds a value that the step cannot be applied to."""


class FencedError(StateError):
    """The write was refused: what it depends on is gone. That is a service, or the run of a job; ``key`` is the hash that tells."""

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class ContendedError(StateError):
    """An update was overtaken by others each time it was tried."""
