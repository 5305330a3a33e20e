"""Publishes single events, with or without an entry in the log of the topic."""

from collections.abc import Sequence, Set
from typing import Any, Final, TypeAlias, cast

import msgspec

from notify.errors import ContentsError, SettingsError
from notify.events.event import Event, Failure, encode
from notify.events.message import Message, Messages, message_topic
from notify.events.scripts import EventScripts, Item
from notify.events.topic import check_each, check_topic
from notify.process import UNTRACED, current_trace, is_traced, producing
from notify.settings import MAX_LIFETIME_S
from notify.values import Encodable, Json, is_text

__all__ = [
    "FOREVER",
    "Contents",
    "Publisher",
    "Topics",
    "contents_of",
    "event_from",
    "events_from",
    "item_of",
    "publish",
    "publish_direct",
    "publish_each",
    "publish_unlogged",
    "retain_ms",
]

Topics: TypeAlias = list[str] | tuple[str, ...] | Set[str]
"""Several topics. Not ``Collection[str]``, which a single text is as well."""

FOREVER: Final = -1.0
"""The value of ``retain_s`` that keeps a retained event without limit."""


Contents: TypeAlias = Encodable | Failure | BaseException | msgspec.UnsetType
"""The contents that can be published on a topic; unset if a message is given in place of the topic."""


def event_from(topic: str | Message, contents: Contents, *, source: str, messages: Messages) -> Event:
    """Return the event for a topic with these contents, or for a message. The class of the message is added to ``messages``.

    Raises:
        ContentsError: no contents were given.
        DuplicateMessageError: another class with that name is registered.
    """
    if not isinstance(topic, Message):
        return Event(topic=topic, contents=contents_of(topic, contents), source=source)
    if type(topic) not in messages:
        messages.add(type(topic))
    return Event(topic=topic.topic, contents=topic, source=source)


def events_from(topic: str | Message | Topics, contents: Contents, *, source: str, messages: Messages) -> list[Event]:
    """Return the event as `event_from`, or an event with these contents for each of several topics.

    Raises:
        SubscriptionError: there is no topic.
        InvalidTopicError: an event cannot be published on one of several topics.
        ContentsError, DuplicateMessageError: as for `event_from`.
    """
    if isinstance(topic, str | Message):
        return [event_from(topic, contents, source=source, messages=messages)]
    names = check_each(topic)
    value = contents_of(names[0], contents)
    return [Event(topic=name, contents=value, source=source) for name in names]


def contents_of(topic: str, contents: Contents) -> Json | Failure:
    """Return the contents of an event, an error as a `Failure`; raise `ContentsError` if there are none."""
    if isinstance(contents, msgspec.UnsetType):
        raise ContentsError(f"no contents were given for {topic!r}: give some; None, 0 and [] are valid contents")
    return Failure.of(contents) if isinstance(contents, BaseException) else cast(Json, contents)  # as an event is typed for its reader


def publish(scripts: EventScripts, event: Event, *, retain_s: float | None = None, key: str | None = None) -> str:
    """Publish one event in one round trip: append it to the log of its topic, send it to the subscribers, and retain it if asked.

    Args:
        scripts: the event scripts of the server to publish on.
        event: the event.
        retain_s: seconds for which new subscribers receive the event at once; ``-1`` without limit, ``0`` deletes the retained
            event, ``None`` leaves it alone.
        key: idempotency key: a second event on the topic with the same key, within the retention of the log, is not published.

    Returns:
        The id of the event; if the key was used before, the id of the first event.

    Raises:
        InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
        ServerUnreachableError: no answer; the event may have been published. With a key it can be published again safely.
    """
    check_topic(event.topic)
    _check_key(key, event)
    with producing("publish", event.topic) if is_traced() else UNTRACED:
        body = encode(event, max_bytes=scripts.client.settings.max_payload_bytes)
        return scripts.publish(event.topic, body, retain_ms=retain_ms(retain_s), once=key)


def publish_each(scripts: EventScripts, events: Sequence[Event], *, retain_s: float | None = None, key: str | None = None) -> list[str]:
    """Publish events of checked topics one after another, and return their ids. Arguments and errors as for `publish`.

    All of them are encoded before the first is published.
    """
    _check_key(key, events[0])
    limit, lifetime = scripts.client.settings.max_payload_bytes, retain_ms(retain_s)
    with producing("publish", [event.topic for event in events]):
        bodies = [encode(event, max_bytes=limit) for event in events]
        return [scripts.publish(event.topic, body, retain_ms=lifetime, once=key) for event, body in zip(events, bodies, strict=True)]


def publish_unlogged(scripts: EventScripts, events: Sequence[Event]) -> None:
    """Send events to the present subscribers only, without log and id: for frequent events that may be lost. Errors as for `publish`."""
    client = scripts.client
    with producing("publish", [event.topic for event in events]):
        bodies = [(check_topic(event.topic), encode(event, max_bytes=client.settings.max_payload_bytes)) for event in events]
        for topic, body in bodies:
            with client.translating(f"publishing on {topic!r}"):
                client.publish(scripts.keys.channel(topic), body)


def publish_direct(scripts: EventScripts, event: Event, *, to: str) -> int:
    """Send an event to the subscribers of its topic that have a name, and to no other. It is in no log and has no id.

    Args:
        scripts: the event scripts of the server.
        event: the event.
        to: the name of the subscriber, as in a `Demand`.

    Returns:
        How many subscribers with that name there are, whatever their topics.

    Raises:
        InvalidTopicError, ContentsError, PayloadTooLargeError: nothing was sent.
        ServerUnreachableError: no answer; the event may have been sent.
    """
    client = scripts.client
    check_topic(event.topic)
    with producing("publish", event.topic):
        body = encode(event, max_bytes=client.settings.max_payload_bytes)
        with client.translating(f"sending an event on {event.topic!r} to {to!r}"):
            received: Any = client.publish(scripts.keys.direct_channel(to), body)
    return int(received)


def item_of(event: Event, *, max_bytes: int, retain_ms: int | None = None) -> Item:
    """Return an event for a batch that is sent later. If the program is traced, it carries a span of its own. Errors as for `encode`."""
    if not is_traced():
        return Item(event.topic, encode(event, max_bytes=max_bytes), retain_ms)
    if event.traceparent is not None:
        return Item(event.topic, encode(event, max_bytes=max_bytes), retain_ms, event.trace)
    with producing("create", event.topic):
        return Item(event.topic, encode(event, max_bytes=max_bytes), retain_ms, current_trace())


class Publisher:
    """Publishes on one topic when called with an `Event`, contents or a message. Made by `Bus.register_publisher`.

    Args:
        scripts: the event scripts of the server.
        topic: the topic, or a message class: then only messages of that class can be published.
        source: the source of the events.
    """

    def __init__(self, scripts: EventScripts, topic: str | type[Message], *, source: str) -> None:
        self._class = topic if isinstance(topic, type) else None
        self.topic = message_topic(topic) if isinstance(topic, type) else check_topic(topic)
        self._scripts = scripts
        self._source = source

    def __call__(
        self,
        event: Event | Encodable | Failure | Message | BaseException,
        *,
        topic: str | None = None,
        retain_s: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publish an event and return its id. The other arguments and errors as for `publish`.

        Args:
            event: an `Event`, or the contents of one.
            topic: a topic for this event only, in place of the topic of the publisher.

        Raises:
            ContentsError: the event is on another topic, or is not a message of the class of this publisher (a ``TypeError`` as well).
        """
        topic = self.topic if topic is None else check_topic(topic)
        if isinstance(event, BaseException):
            event = Failure.of(event)
        if not isinstance(event, Event):
            event = Event(topic=topic, contents=cast(Json | Failure | Message, event), source=self._source)
        if event.topic != topic:
            raise ContentsError(
                f"an event on {event.topic!r} was given to the publisher of {topic!r}: use a publisher of its topic, or give the topic"
            )
        if self._class is not None and type(event.contents) is not self._class:
            raise ContentsError(f"the publisher of {self.topic!r} takes a {self._class.__name__}, not a {type(event.contents).__name__}")
        return publish(self._scripts, event, retain_s=retain_s, key=key)

    def __repr__(self) -> str:
        return f"<Publisher of {self.topic!r}>"


def _check_key(key: str | None, event: Event) -> None:
    if key is not None and not (key and is_text(key)):
        raise SettingsError(f"the idempotency key of an event on {event.topic!r} is {key!r}: give a text that is not empty, or None")


def retain_ms(retain_s: float | None) -> int | None:
    """Return ``retain_s`` of `publish` in ms, as ``publish.lua`` takes it, or raise `SettingsError`."""
    if retain_s is None or retain_s == FOREVER:
        return None if retain_s is None else -1
    if isinstance(retain_s, bool) or not isinstance(retain_s, int | float) or not 0 <= retain_s <= MAX_LIFETIME_S:
        raise SettingsError(
            f"retain_s is {retain_s!r}: give at most {MAX_LIFETIME_S:g} seconds, 0 to delete the retained event, or -1 to keep it forever"
        )
    return 0 if retain_s == 0 else max(1, round(retain_s * 1000))
