"""Errors of publishing and subscribing."""

from notify.errors.base import NotifyError

__all__ = [
    "ContentsError",
    "DuplicateClientNameError",
    "DuplicateMessageError",
    "EmptySubscriptionError",
    "EventError",
    "InvalidPositionError",
    "InvalidTopicError",
    "NotSubscribedError",
    "PayloadTooLargeError",
    "PublisherFullError",
    "SubscriptionError",
    "TopicTypeError",
    "UnknownMessageError",
]


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
