"""Events: `Event`, its JSON form, and `Gap` for events that a subscriber cannot receive any more.

In Redis an event is one JSON object, which ``redis-cli`` can print and publish::

    {"id":"1732172400000-0@5f3a9c01","prev":"1732172399000-0","topic":"temperature","time":"2026-11-21T07:00:00Z",
     "source":"lab-7:4242","contents":{"celsius":21.5}}

``id`` and ``prev`` are the *stamp*, which the server adds when the event enters the log of its topic. ``id`` consists of the server's
time in ms, a counter, and the epoch of the log. The log gets another epoch when it begins anew, as after FLUSHALL. ``prev`` is the id,
without epoch, of the event before it in the log: from it a subscriber sees whether it has missed an event.
Any other message on the channel of a topic, such as ``PUBLISH notify:event:temperature 21.5``, becomes an event without a stamp.
"""

import re
import time as clock
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.errors import ContentsError, PayloadTooLargeError
from notify.events.message import Message
from notify.process import Trace, consuming, current_trace, received
from notify.values import Json, check_json, encoding_problem, json_text, size_problem, wire_encoder

__all__ = ["Event", "Failure", "Gap", "decode", "decode_direct", "encode", "is_bare_id"]


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as the contents of an event: the name of its type and its message.

    Args:
        type: name of the error's class.
        message: the message of the error; ``str()`` of the failure returns it.
        fatal: whether the error ends the service that reports it.
    """

    type: str
    message: str
    fatal: bool = False

    @classmethod
    def of(cls, error: BaseException, *, fatal: bool = False) -> "Failure":
        """Return the failure for an exception."""
        # A message may contain surrogates, for example in the name of a file that is not UTF-8.
        return cls(type(error).__name__, _text_of(error).encode(errors="backslashreplace").decode(), fatal)

    def __str__(self) -> str:
        return self.message


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # a faulty __str__ must not keep the error from being reported
        return f"(no message: str() of the error raised {type(exc).__name__})"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event on a topic.

    Args:
        topic: the name of the topic.
        contents: a value that can be sent as JSON, or a `Failure`; the subscriber gets the JSON form of the value.
        time: when the event happened; a datetime with a time zone, by default now, in UTC.
        source: the name of the process or service that published it.
        id: place in the topic's log, ``<ms>-<counter>@<epoch>``; ``None`` if the event is not in a log.
        received: when this process received the event, in UTC; ``None`` if it did not receive it.
        traceparent: the span in which it was published, by W3C; ``None`` if there was none. By default that of the current span is sent.
        tracestate: what vendors add to it; ``None`` if there is nothing.
    """

    topic: str
    contents: Json | Failure | Message
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    source: str | None = None
    id: str | None = None
    received: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ContentsError(
                f"the time of an event on {self.topic!r} has no time zone: give an aware datetime, for example datetime.now(UTC)"
            )

    def processing(self) -> AbstractContextManager[Any]:
        """Return a block with a CONSUMER span of OpenTelemetry, which goes on with the trace of the event; without that, do nothing.

        Callbacks of managers and listeners run in one; a program that calls `Subscriber.get` may use it.
        """
        return consuming("process", self.topic, trace=self.trace, attributes={"message.id": self.id} if self.id else {})

    @property
    def trace(self) -> Trace:
        """What it carries of the span in which it was published."""
        return Trace(self.traceparent, self.tracestate)

    def note_receipt(self) -> None:
        """Record a span of OpenTelemetry for its receipt by who calls `Subscriber.get`; to be called if the program is traced."""
        since = self.received or datetime.now(UTC)
        received(self.topic, self.trace, since=since, attributes={"message.id": self.id} if self.id else {})

    def __str__(self) -> str:
        contents = self.contents
        if isinstance(contents, Message):
            contents = contents.to_contents()
        text = str(contents) if isinstance(contents, str | Failure) else json_text(contents)
        # time.asctime ignores the locale of the process, unlike strftime with %c.
        return f"New event\nTopic: {self.topic}\nTime: {clock.asctime(self.time.astimezone(UTC).timetuple())}\n{text}"


class Gap(msgspec.Struct, frozen=True):
    """A notice that a subscriber cannot receive some events of a topic any more. It is delivered once, in their place.

    Args:
        topic: the topic of the events.
        reason: ``trimmed`` (the log no longer holds them), ``epoch`` (the topic began anew, as after FLUSHALL) or
            ``rollback`` (a failover of the server lost events that were delivered before).
        first: id of the last event before the gap, ``None`` if it is unknown.
        last: id of the last event in the gap, ``None`` if it is unknown.
    """

    topic: str
    reason: str
    first: str | None
    last: str | None


class Wire(msgspec.Struct, omit_defaults=True):
    """The JSON form of an event. It has ``contents`` or ``error``. ``prev`` is the id, without epoch, of the event before it."""

    topic: str
    time: datetime
    source: str | None = None
    contents: Any = msgspec.UNSET
    error: Failure | None = None
    id: str | None = None
    prev: str | None = None
    received: datetime | None = None
    traceparent: str | None = None
    tracestate: str | None = None


_WIRE_DECODER: Final = msgspec.json.Decoder(Wire)
_WIRE_ENCODER: Final = wire_encoder()


_BARE_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
"""19 digits fit into 64 bits, and the clock of a server needs 13."""


def encode(event: Event, *, max_bytes: int) -> bytes:
    """Return the JSON form of an event, without a stamp.

    Raises:
        ContentsError: JSON cannot represent a part of the contents; the message names the path to it.
        PayloadTooLargeError: the JSON has more than ``max_bytes`` bytes.
    """
    wire = wire_of(event)
    if wire.traceparent is None:
        wire.traceparent, wire.tracestate = current_trace()
    if wire.error is None:
        check_json(wire.contents, what=f"the contents for {event.topic!r}")
    try:
        body = _WIRE_ENCODER.encode(wire)
    except (UnicodeEncodeError, TypeError, RecursionError) as exc:
        if wire.error is None:
            raise encoding_problem(wire.contents, exc, what=f"the contents for {event.topic!r}") from exc
        raise ContentsError(f"the event for {event.topic!r} cannot be written as JSON: {exc}") from exc
    if len(body) > max_bytes:  # not by `check_size`: each event would pay for the name in its error
        raise PayloadTooLargeError(size_problem(f"the event for {event.topic!r}", len(body), max_bytes))
    return body


def wire_of(event: Event) -> Wire:
    """Return the JSON form of an event as a struct, with its id and time of reception."""
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
        traceparent=event.traceparent,
        tracestate=event.tracestate,
    )


def event_of(wire: Wire) -> Event:
    """Return the event for its JSON form."""
    contents = wire.contents if wire.error is None else wire.error
    return Event(
        topic=wire.topic,
        contents=contents,
        time=wire.time,
        source=wire.source,
        id=wire.id,
        received=wire.received,
        traceparent=wire.traceparent,
        tracestate=wire.tracestate,
    )


def decode(topic: str, payload: bytes) -> tuple[Event, str | None]:
    """Return the event in a message, and the id, without epoch, of the event before it (``None`` if it has no stamp).

    A payload that is not the JSON form of an event becomes the contents of an event without a stamp: as JSON value if it is JSON, else
    as text.

    Raises:
        ContentsError: the payload is not UTF-8 text.
    """
    try:
        wire = _WIRE_DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Event(topic=topic, contents=_plain(topic, payload), received=datetime.now(UTC)), None
    if wire.time.tzinfo is None or (wire.contents is msgspec.UNSET and wire.error is None):
        return Event(topic=topic, contents=_plain(topic, payload), received=datetime.now(UTC)), None
    contents = wire.contents if wire.error is None else wire.error
    event = Event(
        topic=topic,
        contents=contents,
        time=wire.time,
        source=wire.source,
        id=wire.id,
        received=datetime.now(UTC),
        traceparent=wire.traceparent,
        tracestate=wire.tracestate,
    )
    return event, wire.prev


def decode_direct(payload: bytes) -> Event | None:
    """Return the event in a message on the channel of a subscriber, without id; ``None`` if the message is not an event."""
    try:
        wire = _WIRE_DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if wire.time.tzinfo is None or (wire.contents is msgspec.UNSET and wire.error is None):
        return None
    return msgspec.structs.replace(event_of(wire), id=None, received=datetime.now(UTC))


def is_bare_id(text: str) -> bool:
    """Return whether a text is the id of an entry of a log, as the server makes them."""
    return _BARE_ID.fullmatch(text) is not None


def _plain(topic: str, payload: bytes) -> Json:
    """Return a payload that is not an event, as JSON value or text."""
    try:
        value: Json = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return payload.decode()
        except UnicodeDecodeError as exc:
            raise ContentsError(f"a message on the channel of {topic!r} is not UTF-8 text: {payload[:40]!r}") from exc
    return value
