"""What travels: `Event`, its JSON form, and `Gap` for what could not be delivered.

On the wire an event is one JSON object, readable and publishable with ``redis-cli``::

    {"id":"1732172400000-0@5f3a9c01","prev":"1732172399000-0","topic":"temperature","time":"2026-11-21T07:00:00Z",
     "source":"lab-7:4242","contents":{"celsius":21.5}}

``id`` and ``prev`` are stamped by the server as the event enters the topic's log: time and counter, then the epoch
of the log. A subscriber that holds ``prev`` has missed nothing. Anything else that is published on a topic's channel,
``PUBLISH notify:event:temperature 21.5`` for instance, is an event too, without a stamp.
"""

import json
import time as clock
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.errors import ContentsError, PayloadTooLargeError
from notify.events.message import Message
from notify.events.strict_json import Json, check_json

__all__ = ["Event", "Failure", "Gap", "decode", "encode"]


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as contents: it travels as its type's name and its message.

    Args:
        type: name of the error's class.
        message: what the error says; also what ``str()`` of the failure gives.
        fatal: whether the service that reports it ends with it.
    """

    type: str
    message: str
    fatal: bool = False

    @classmethod
    def of(cls, error: BaseException, *, fatal: bool = False) -> "Failure":
        # Names of files may hold bytes that are no text.
        return cls(type(error).__name__, _text_of(error).encode(errors="backslashreplace").decode(), fatal)

    def __str__(self) -> str:
        return self.message


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # code of others: that an error was raised is to be told all the same
        return f"(its text could not be had: str() raised {type(exc).__name__})"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.

    Args:
        topic: what it is about.
        contents: any JSON value, or a `Failure`.
        time: when it happened; aware, in UTC. Defaults to now.
        source: who says so.
        id: place in the topic's log, ``<ms>-<counter>@<epoch>``; ``None`` for what was published by hand or is not published yet.
        received: when it reached this process; aware, in UTC. ``None`` for what did not come in.
    """

    topic: str
    contents: Json | Failure | Message
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    source: str | None = None
    id: str | None = None
    received: datetime | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ContentsError(
                f"the time of an event on {self.topic!r} has no time zone: give an aware datetime, for example datetime.now(UTC)"
            )

    def __str__(self) -> str:
        contents = self.contents
        if isinstance(contents, Message):
            contents = contents.to_contents()
        text = str(contents) if isinstance(contents, str | Failure) else json.dumps(contents, ensure_ascii=False)
        # time.asctime is %c of the C locale, whatever locale the process is in.
        return f"New event\nTopic: {self.topic}\nTime: {clock.asctime(self.time.astimezone(UTC).timetuple())}\n{text}"


class Gap(msgspec.Struct, frozen=True):
    """Events of a topic that this subscriber will never see: said aloud, once, at the place where they would have been.

    Args:
        topic: whose events are missing.
        reason: ``trimmed`` (the log no longer holds them), ``epoch`` (the log was deleted and began anew) or
            ``rollback`` (a failover lost what had been delivered already).
        first: id before the hole, ``None`` if it is unknown.
        last: id of the last event in the hole, ``None`` if it is unknown.
    """

    topic: str
    reason: str
    first: str | None
    last: str | None


class Wire(msgspec.Struct, omit_defaults=True):
    """The JSON form of an event. ``prev`` is the bare id of the event before it."""

    topic: str
    time: datetime
    source: str | None = None
    contents: Any = msgspec.UNSET
    error: Failure | None = None
    id: str | None = None
    prev: str | None = None
    received: datetime | None = None


_WIRE_DECODER: Final = msgspec.json.Decoder(Wire)
_WIRE_ENCODER: Final = msgspec.json.Encoder()


def encode(event: Event, *, max_bytes: int) -> bytes:
    """Return the JSON form of an event, without a stamp.

    Raises:
        ContentsError: the contents hold something that JSON cannot; the message names the path within.
        PayloadTooLargeError: the result is above ``max_bytes``.
    """
    wire = wire_of(event)
    if wire.error is None:
        check_json(wire.contents, what=f"the contents for {event.topic!r}")
    try:
        body = _WIRE_ENCODER.encode(wire)
    except (UnicodeEncodeError, TypeError, RecursionError) as exc:
        raise ContentsError(f"the event for {event.topic!r} cannot be written as JSON: {exc}") from exc
    if len(body) > max_bytes:
        raise PayloadTooLargeError(
            f"the event for {event.topic!r} has {len(body)} bytes, the limit is {max_bytes}: "
            "send less (or a reference to it), or raise max_payload_bytes ($NOTIFY_MAX_PAYLOAD_BYTES)"
        )
    return body


def wire_of(event: Event) -> Wire:
    """Return the JSON form of an event as a struct, with its id."""
    failed = isinstance(event.contents, Failure)
    contents = event.contents.checked_contents() if isinstance(event.contents, Message) else event.contents
    return Wire(
        event.topic,
        event.time,
        event.source,
        msgspec.UNSET if failed else contents,
        event.contents if isinstance(event.contents, Failure) else None,
        event.id,
        received=event.received,
    )


def event_of(wire: Wire) -> Event:
    """Return the event that `wire_of` made this of."""
    contents = wire.contents if wire.error is None else wire.error
    return Event(topic=wire.topic, contents=contents, time=wire.time, source=wire.source, id=wire.id, received=wire.received)


def decode(topic: str, payload: bytes) -> tuple[Event, str | None]:
    """Return the event in a payload, and the bare id of the one before it (``None`` where it carries no stamp).

    A payload that is no event of ours is an event without a stamp: its contents are its JSON value, or else its text.

    Raises:
        ContentsError: it is not even text.
    """
    try:
        wire = _WIRE_DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Event(topic=topic, contents=_plain(topic, payload), received=datetime.now(UTC)), None
    if wire.time.tzinfo is None or (wire.contents is msgspec.UNSET and wire.error is None):
        return Event(topic=topic, contents=_plain(topic, payload), received=datetime.now(UTC)), None
    contents = wire.contents if wire.error is None else wire.error
    return Event(topic=topic, contents=contents, time=wire.time, source=wire.source, id=wire.id, received=datetime.now(UTC)), wire.prev


def _plain(topic: str, payload: bytes) -> Json:
    try:
        value: Json = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise ContentsError(f"what was published on {topic!r} is no text: {payload[:40]!r}") from exc
    return value
