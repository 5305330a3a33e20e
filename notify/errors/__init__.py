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
        ├── FlowFileError            a file does not describe a flow
        ├── UnroutedError            no outlet takes an item
        ├── EndpointError            a network address, file, command or device cannot be opened, or was lost
        ├── FrameError               bytes that came in, or an item to send, are no frame
        └── RecordingError
            ├── NoRecordingError     a folder does not exist, or holds something else than a recording
            ├── RecordingExistsError
            ├── DamagedRecordingError
            └── RecordingStorageError  a recording cannot be written or read: the disk is full, for example

``workers.errors`` continues the tree. Public calls never raise the errors of redis-py and RQ: such an error is the ``__cause__`` of
one of the errors here. Some errors are a built-in error as well (``ValueError``, ``LookupError``) and can be caught as that.
"""

from notify.errors.base import ClosedError, NotifyError, SettingsError
from notify.errors.events import (
    ContentsError,
    DuplicateClientNameError,
    DuplicateMessageError,
    EmptySubscriptionError,
    EventError,
    InvalidPositionError,
    InvalidTopicError,
    NotSubscribedError,
    PayloadTooLargeError,
    PublisherFullError,
    SubscriptionError,
    TopicTypeError,
    UnknownMessageError,
)
from notify.errors.flows import (
    DamagedRecordingError,
    EndpointError,
    FlowError,
    FlowFileError,
    FrameError,
    NoRecordingError,
    RecordingError,
    RecordingExistsError,
    RecordingStorageError,
    UnroutedError,
    WiringError,
)
from notify.errors.server import EmbeddedServerError, NoServerBinaryError, ServerError, ServerRefusedError, ServerUnreachableError
from notify.errors.services import (
    ContendedError,
    DirectoryError,
    FencedError,
    FieldValueError,
    InvalidServiceError,
    MissingKeyError,
    RequestError,
    RequestFailedError,
    RequestsFullError,
    RequestTimeoutError,
    ServiceKilledError,
    ServiceNameTakenError,
    ServiceNotFoundError,
    ServiceWithdrawnError,
    StateError,
    UnknownMethodError,
)

__all__ = [
    "ClosedError",
    "ContendedError",
    "ContentsError",
    "DamagedRecordingError",
    "DirectoryError",
    "DuplicateClientNameError",
    "DuplicateMessageError",
    "EmbeddedServerError",
    "EmptySubscriptionError",
    "EndpointError",
    "EventError",
    "FencedError",
    "FieldValueError",
    "FlowError",
    "FlowFileError",
    "FrameError",
    "InvalidPositionError",
    "InvalidServiceError",
    "InvalidTopicError",
    "MissingKeyError",
    "NoRecordingError",
    "NoServerBinaryError",
    "NotSubscribedError",
    "NotifyError",
    "PayloadTooLargeError",
    "PublisherFullError",
    "RecordingError",
    "RecordingExistsError",
    "RecordingStorageError",
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
