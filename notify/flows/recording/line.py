"""The lines of a recording: one JSON object for each event or gap.

::

    {"at":1764226800123000,"topic":"lab","time":"2026-11-27T07:00:00.123Z","source":"lab-7:4242","id":"1764226800123-0@5f3a9c01",
     "received":"2026-11-27T07:00:00.124Z","contents":{"celsius":21.5}}
    {"at":1764226800125000,"topic":"lab","gap":{"reason":"trimmed","first":"1764226800123-0@5f3a9c01"}}

``at`` is the place in time of the line, in microseconds since 1970: when the server published the event, or, without an id, when the event
was received. An event has ``contents`` or ``error``, as on its channel.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from notify.events import Event, Failure, Gap, Message
from notify.values import check_json, encoding_problem, wire_encoder

__all__ = ["GapLine", "Line", "Recorded", "datetime_of", "decode_line", "decode_lines", "encode_line", "line_of", "micros_of"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class GapLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a line says of a gap; arguments as of `notify.Gap`."""

    reason: str
    first: str | None = None
    last: str | None = None


class Recorded(msgspec.Struct, frozen=True):
    """An event or a gap of a recording.

    Args:
        at: its place in time, in UTC.
        item: the event, or the gap.
    """

    at: datetime
    item: Event | Gap


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a recording, as it is decoded."""

    at: int
    topic: str
    time: datetime | None = None
    source: str | None = None
    id: str | None = None
    received: datetime | None = None
    gap: GapLine | None = None
    error: Failure | None = None
    contents: Any = msgspec.UNSET

    @property
    def item(self) -> Event | Gap:
        """The event or the gap."""
        if self.gap is not None:
            return Gap(self.topic, self.gap.reason, self.gap.first, self.gap.last)
        contents = self.contents if self.error is None else self.error
        return Event(
            topic=self.topic,
            contents=contents,
            time=self.time or datetime_of(self.at),
            source=self.source,
            id=self.id,
            received=self.received,
        )

    @property
    def recorded(self) -> Recorded:
        """The event or the gap, with its place in time."""
        return Recorded(datetime_of(self.at), self.item)

    @property
    def position(self) -> str | None:
        """The id of the event after which its topic goes on."""
        if self.gap is None:
            return self.id
        return self.gap.first if self.gap.reason == "rollback" else self.gap.last


_DECODER: Final = msgspec.json.Decoder(Line)
_ENCODER: Final = wire_encoder()


def line_of(item: Event | Gap, at: int) -> Line:
    """Return the line for an event or a gap.

    Args:
        item: the event or the gap.
        at: its place in time, in microseconds since 1970.
    """
    if isinstance(item, Gap):
        return Line(at, item.topic, gap=GapLine(item.reason, item.first, item.last))
    contents: Any = item.contents
    error = None
    if isinstance(contents, Failure):
        contents, error = msgspec.UNSET, contents
    elif isinstance(contents, Message):
        contents = contents.to_contents()
    return Line(at, item.topic, item.time, item.source, item.id, item.received, None, error, contents)


def encode_line(line: Line) -> bytes:
    """Return a line with its line break; raise `ContentsError` if JSON cannot hold the contents."""
    if line.received is None and line.contents is not msgspec.UNSET:  # what was received has been JSON before
        check_json(line.contents, what=f"the contents for {line.topic!r}")
    try:
        return _ENCODER.encode(line) + b"\n"
    except (UnicodeEncodeError, TypeError, RecursionError) as exc:
        raise encoding_problem(line.contents, exc, what=f"the contents for {line.topic!r}") from exc


def decode_line(text: bytes) -> Line | None:
    """Return the line in a text without line break; ``None`` if it is none."""
    try:
        line = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return line if _is_whole(line) else None


def decode_lines(text: bytes) -> Sequence[Line] | None:
    """Return the lines of a text that ends with a line break; ``None`` if one of them cannot be read.

    The text must be as `encode_line` has written it, by its checksum: of each line only the types are checked, which takes half the time.
    """
    try:
        return _DECODER.decode_lines(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def micros_of(time: datetime) -> int:
    """Return a time in microseconds since 1970; one without a time zone is in UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def datetime_of(micros: int) -> datetime:
    """Return the time, in UTC, for microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def _is_whole(line: Line) -> bool:
    """Return whether a line is an event or a gap, with a place in time that a calendar has."""
    if not 0 <= line.at < 253_402_300_800_000_000:  # the year 10000
        return False
    has_time = line.time is not None and line.time.tzinfo is not None
    return line.gap is not None or (has_time and (line.contents is not msgspec.UNSET or line.error is not None))
