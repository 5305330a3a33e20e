"""Publishing events."""

from typing import Final, TypeAlias

import msgspec

from notify.errors import ContentsError, SettingsError
from notify.events.event import Event, Failure, encode
from notify.events.message import Message, Messages, message_topic
from notify.events.scripts import EventScripts
from notify.events.strict_json import Json
from notify.events.topic import check_topic
from notify.settings import MAX_LIFETIME_S

__all__ = ["FOR_EVER", "Contents", "Publisher", "event_from", "publish", "publish_unlogged", "retain_ms"]

FOR_EVER: Final = -1.0
"""A lifetime that does not end."""


Contents: TypeAlias = Json | Failure | BaseException | msgspec.UnsetType
"""What can be published on a topic; unset where a message is given in place of a topic."""


def event_from(topic: str | Message, contents: Contents, *, source: str, messages: Messages) -> Event:
    """Return the event that is meant by a topic and contents, or by a message, whose class is known from now on.

    Raises:
        ContentsError: there are no contents.
        DuplicateMessageError: another class of that name is known.
    """
    if isinstance(topic, Message):
        if type(topic) not in messages:
            messages.add(type(topic))
        return Event(topic=topic.topic, contents=topic, source=source)
    if isinstance(contents, msgspec.UnsetType):
        raise ContentsError(f"there is nothing to publish on {topic!r}: give contents; None, 0 and [] are some")
    return Event(topic=topic, contents=Failure.of(contents) if isinstance(contents, BaseException) else contents, source=source)


def publish(scripts: EventScripts, event: Event, *, retain_s: float | None = None, key: str | None = None) -> str:
    """Publish one event: into the log of its topic, to who listens, and as retained value if asked; one round trip.

    Args:
        scripts: the atomic steps of the server to publish on.
        event: what happened.
        retain_s: for how many seconds a new subscriber still gets it at once; ``-1`` for ever, ``0`` drops what is
            retained, ``None`` leaves that alone.
        key: idempotency key: a second event on the topic with the same one, within the retention, is not published.

    Returns:
        The event's id; with a key that was used before, the id of the first one.

    Raises:
        InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
        ServerUnreachableError: no answer; it may have been published. With a key it can be tried again.
    """
    check_topic(event.topic)
    if key == "":
        raise SettingsError(f"the idempotency key of an event on {event.topic!r} is empty: give one, or none at all")
    body = encode(event, max_bytes=scripts.client.settings.max_payload_bytes)
    return scripts.publish(event.topic, body, retain_ms=retain_ms(retain_s), once=key)


def publish_unlogged(scripts: EventScripts, event: Event) -> None:
    """Publish to who listens now, and to nobody else: for topics whose events come fast and may be lost. Errors as for `publish`."""
    client = scripts.client
    check_topic(event.topic)
    body = encode(event, max_bytes=client.settings.max_payload_bytes)
    with client.translating(f"publishing on {event.topic!r}"):
        client.publish(scripts.keys.channel(event.topic), body)


class Publisher:
    """Publishes on one topic: what `Bus.register_publisher` returns. Call it with an `Event`, with contents or with a message.

    Args:
        scripts: the atomic steps of the server.
        topic: the topic, or a message class: then only messages of that class can be published.
        source: named in the events.
    """

    def __init__(self, scripts: EventScripts, topic: str | type[Message], *, source: str) -> None:
        self._class = topic if isinstance(topic, type) else None
        self.topic = message_topic(topic) if isinstance(topic, type) else check_topic(topic)
        self._scripts = scripts
        self._source = source

    def __call__(
        self, event: Event | Json | Failure | Message | BaseException, *, retain_s: float | None = None, key: str | None = None
    ) -> str:
        """Publish and return the event's id; arguments and errors as for `publish`.

        Raises:
            ContentsError: it is about another topic, or not of the class that this publisher publishes; a ``TypeError``.
        """
        if isinstance(event, BaseException):
            event = Failure.of(event)
        if not isinstance(event, Event):
            event = Event(topic=self.topic, contents=event, source=self._source)
        if event.topic != self.topic:
            raise ContentsError(f"an event on {event.topic!r} was given to the publisher of {self.topic!r}")
        if self._class is not None and type(event.contents) is not self._class:
            raise ContentsError(f"the publisher of {self.topic!r} takes a {self._class.__name__}, not a {type(event.contents).__name__}")
        return publish(self._scripts, event, retain_s=retain_s, key=key)

    def __repr__(self) -> str:
        return f"<Publisher of {self.topic!r}>"


def retain_ms(retain_s: float | None) -> int | None:
    """Return a lifetime as ``publish.lua`` takes it (``None``: leave the retained value alone), else raise `SettingsError`."""
    if retain_s is None or retain_s == FOR_EVER:
        return None if retain_s is None else -1
    if isinstance(retain_s, bool) or not isinstance(retain_s, int | float) or not 0 <= retain_s <= MAX_LIFETIME_S:
        raise SettingsError(
            f"retain_s is {retain_s!r}: give at most {MAX_LIFETIME_S:g} seconds, 0 to drop what is retained, or -1 for ever"
        )
    return 0 if retain_s == 0 else max(1, round(retain_s * 1000))
