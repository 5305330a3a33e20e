"""Notify: services that talk through events on Redis, and work that knows which service it needs.

Start with `connect`. The ``workers`` package adds jobs.
"""

from notify.background import BackgroundPublisher
from notify.bus import Bus
from notify.demand import Demand, DemandChange, Joined, Left
from notify.directory import Directory, ServiceInfo
from notify.dispatcher import Dispatcher
from notify.entry import connect
from notify.errors import (
    ClosedError,
    ContendedError,
    ContentsError,
    DirectoryError,
    DuplicateClientNameError,
    DuplicateMessageError,
    EmbeddedServerError,
    EmptySubscriptionError,
    EventError,
    FencedError,
    FieldValueError,
    InvalidPositionError,
    InvalidServiceError,
    InvalidTopicError,
    MissingKeyError,
    NoServerBinaryError,
    NotifyError,
    NotSubscribedError,
    PayloadTooLargeError,
    PublisherFullError,
    RequestError,
    RequestFailedError,
    RequestsFullError,
    RequestTimeoutError,
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
    TopicTypeError,
    UnknownMessageError,
    UnknownMethodError,
)
from notify.event import Event, Failure, Gap
from notify.link import LinkState, LinkStatus
from notify.listener import QueuedListener
from notify.manager import NotificationManager
from notify.message import Message, Messages
from notify.monitor import Monitor
from notify.program import Program
from notify.publisher import Publisher
from notify.report import Report
from notify.service import Service
from notify.settings import Settings
from notify.state import State
from notify.strict_json import Json
from notify.subscriber import Subscriber
from notify.suspension import Suspension
from notify.target import Provider, provides
from notify.timers import Priority, Timer, Timers
from notify.traffic import TopicInfo
from notify.watch import Alarm, Available, Change, Suspect, Watch, Withdrawn

__all__ = [
    "Alarm",
    "Available",
    "BackgroundPublisher",
    "Bus",
    "Change",
    "ClosedError",
    "ContendedError",
    "ContentsError",
    "Demand",
    "DemandChange",
    "Directory",
    "DirectoryError",
    "Dispatcher",
    "DuplicateClientNameError",
    "DuplicateMessageError",
    "EmbeddedServerError",
    "EmptySubscriptionError",
    "Event",
    "EventError",
    "Failure",
    "FencedError",
    "FieldValueError",
    "Gap",
    "InvalidPositionError",
    "InvalidServiceError",
    "InvalidTopicError",
    "Joined",
    "Json",
    "Left",
    "LinkState",
    "LinkStatus",
    "Message",
    "Messages",
    "MissingKeyError",
    "Monitor",
    "NoServerBinaryError",
    "NotSubscribedError",
    "NotificationManager",
    "NotifyError",
    "PayloadTooLargeError",
    "Priority",
    "Program",
    "Provider",
    "Publisher",
    "PublisherFullError",
    "QueuedListener",
    "Report",
    "RequestError",
    "RequestFailedError",
    "RequestTimeoutError",
    "RequestsFullError",
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
    "Suspension",
    "Timer",
    "Timers",
    "TopicInfo",
    "TopicTypeError",
    "UnknownMessageError",
    "UnknownMethodError",
    "Watch",
    "Withdrawn",
    "connect",
    "provides",
]
