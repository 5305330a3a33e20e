"""Notify: services that talk through events on Redis, and work that knows which service it needs.

Start with `connect`. The ``workers`` package adds jobs.
"""

from notify.bus import Bus, connect
from notify.directory import Directory, ServiceInfo
from notify.errors import (
    ClosedError,
    ContendedError,
    ContentsError,
    DirectoryError,
    DuplicateClientNameError,
    EmbeddedServerError,
    EmptySubscriptionError,
    EventError,
    FencedError,
    InvalidServiceError,
    InvalidTopicError,
    MissingKeyError,
    NoServerBinaryError,
    NotifyError,
    NotSubscribedError,
    PayloadTooLargeError,
    ServerError,
    ServerRefusedError,
    ServerUnreachableError,
    ServiceKilledError,
    ServiceNameTakenError,
    ServiceNotFoundError,
    ServiceWithdrawnError,
    SettingsError,
    StateError,
    SubscriptionError,
)
from notify.event import Event, Failure, Gap
from notify.manager import NotificationManager
from notify.monitor import Monitor
from notify.publisher import Publisher
from notify.service import Service
from notify.settings import Settings
from notify.state import State
from notify.strict_json import Json
from notify.subscriber import Subscriber
from notify.watch import Available, Change, Suspect, Watch, Withdrawn

__all__ = [
    "Available",
    "Bus",
    "Change",
    "ClosedError",
    "ContendedError",
    "ContentsError",
    "Directory",
    "DirectoryError",
    "DuplicateClientNameError",
    "EmbeddedServerError",
    "EmptySubscriptionError",
    "Event",
    "EventError",
    "Failure",
    "FencedError",
    "Gap",
    "InvalidServiceError",
    "InvalidTopicError",
    "Json",
    "MissingKeyError",
    "Monitor",
    "NoServerBinaryError",
    "NotSubscribedError",
    "NotificationManager",
    "NotifyError",
    "PayloadTooLargeError",
    "Publisher",
    "ServerError",
    "ServerRefusedError",
    "ServerUnreachableError",
    "Service",
    "ServiceInfo",
    "ServiceKilledError",
    "ServiceNameTakenError",
    "ServiceNotFoundError",
    "ServiceWithdrawnError",
    "Settings",
    "SettingsError",
    "State",
    "StateError",
    "Subscriber",
    "SubscriptionError",
    "Suspect",
    "Watch",
    "Withdrawn",
    "connect",
]
