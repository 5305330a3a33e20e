"""Reads one recording or several, merged in the order of time; a window of time, and some of the topics."""

import heapq
import logging
import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from notify.errors import DamagedRecordingError, RecordingError, SettingsError
from notify.events import Event, Glob, check_topics, flat_topics
from notify.flows.recording.folder import Block, Header
from notify.flows.recording.line import Line, Recorded, datetime_of, micros_of
from notify.flows.recording.recording import Recording
from notify.flows.recording.salvage import Damage

__all__ = ["OnDamage", "Reader", "TopicSummary"]

OnDamage: TypeAlias = Literal["raise", "skip"]
"""What a reader does at a part that cannot be read."""

log: Final = logging.getLogger(__name__)


class TopicSummary(msgspec.Struct, frozen=True):
    """How many events and gaps of a topic are in recordings."""

    topic: str
    events: int
    gaps: int


class Reader:
    """Reads recordings: iterate for each event and gap, as a `Recorded`; each iteration begins anew.

    A recording that a crash has ended is read as far as it was flushed. That, and each part that is skipped, is logged and in `damages`.

    Args:
        folders: the folders of one recording or several, which are merged in the order of time.
        since: the time, inclusive, of the first event to read.
        until: the time, exclusive, at which to end. Times without a time zone are in UTC.
        topics: topics and glob patterns; by default all.
        on_damage: at a part that cannot be read ``raise``, or ``skip`` it. A file that is only cut short is no reason to raise.

    Raises:
        NoRecordingError: a folder does not exist, or holds no recording.
        RecordingError: no topic was recorded that matches one of ``topics``.
        DamagedRecordingError: a file is damaged, and ``on_damage`` is ``raise``; also when a block is read.
        RecordingStorageError: a file cannot be read.
        SettingsError: ``since`` is after ``until``, no folder is given, or the package for the compression is not installed.
        EmptySubscriptionError, InvalidTopicError: ``topics`` cannot be used.
    """

    def __init__(
        self,
        *folders: str | os.PathLike[str],
        since: datetime | None = None,
        until: datetime | None = None,
        topics: str | Collection[str] | None = None,
        on_damage: OnDamage = "raise",
    ) -> None:
        if not folders:
            raise SettingsError("a reader needs a recording: give its folder")
        if on_damage not in get_args(OnDamage):
            raise SettingsError(f"on_damage is {on_damage!r}: choose raise or skip")
        self._since = None if since is None else micros_of(since)
        self._until = None if until is None else micros_of(until)
        if self._since is not None and self._until is not None and self._since >= self._until:
            raise SettingsError(f"the window is empty: it begins at {since} and ends at {until}; give an end after its begin")
        self._on_damage = on_damage
        self.damages: list[Damage] = []
        """What could not be read so far."""
        self._recordings = [Recording(folder) for folder in folders]
        for recording in self._recordings:
            for damage in recording.damages:
                self._note(damage)
        self._chosen = None if topics is None else self._match(topics)

    @property
    def headers(self) -> list[Header]:
        """The headers of the recordings."""
        return [recording.header for recording in self._recordings]

    @property
    def size(self) -> int:
        """The size of the files, in bytes."""
        return sum(recording.size for recording in self._recordings)

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The time of the first and of the last event or gap, from the index; ``None`` if there is none in the window."""
        blocks = self._blocks()
        if not blocks:
            return None
        first, last = min(block.first for block in blocks), max(block.last for block in blocks)
        return (
            datetime_of(first if self._since is None else max(first, self._since)),
            datetime_of(last if self._until is None else min(last, self._until)),
        )

    def summaries(self) -> list[TopicSummary]:
        """Return the numbers of each topic, from the index, sorted. A window of time is rounded to whole blocks."""
        counts: dict[str, tuple[int, int]] = {}
        for block in self._blocks():
            for topic, (events, gaps, _) in block.topics.items():
                if self._chosen is None or topic in self._chosen:
                    before = counts.get(topic, (0, 0))
                    counts[topic] = (before[0] + events, before[1] + gaps)
        return [TopicSummary(topic, *counts[topic]) for topic in sorted(counts)]

    def positions(self) -> dict[str, str]:
        """Return topic → id of the last event that the recordings account for; a `Recorder` goes on after it."""
        found: dict[str, str] = {}
        for recording in self._recordings:
            found |= recording.header.positions
            for block in recording.blocks:
                for topic, (_, _, last) in block.topics.items():
                    if last is not None and not _is_before(last, found.get(topic, "")):
                        found[topic] = last
        return found

    def events(self) -> Iterator[Event]:
        """Yield the events, without the gaps."""
        for line in self.lines():
            if line.gap is None:
                item = line.item
                if isinstance(item, Event):
                    yield item

    def lines(self) -> Iterator[Line]:
        """Yield the lines as they were written: faster than iterating over the reader."""
        told: set[Damage] = set(self.damages)

        def tell(damage: Damage) -> None:
            if damage not in told:
                told.add(damage)
                self._note(damage)

        streams = [recording.lines(self._has, tell) for recording in self._recordings]
        lines = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=attrgetter("at"))
        if self._since is None and self._until is None and self._chosen is None:
            yield from lines
            return
        since, until, chosen = self._since or 0, self._until, self._chosen
        for line in lines:
            if until is not None and line.at >= until:
                return
            if line.at >= since and (chosen is None or line.topic in chosen):
                yield line

    def __iter__(self) -> Iterator[Recorded]:
        for line in self.lines():
            yield line.recorded

    def __repr__(self) -> str:
        return f"<Reader of {', '.join(str(recording.folder) for recording in self._recordings)}>"

    def _blocks(self) -> list[Block]:
        return [block for recording in self._recordings for block in recording.blocks if self._has(block)]

    def _has(self, block: Block) -> bool:
        """Return whether a block may have a line in the window, of one of the topics."""
        is_in_window = (self._since is None or block.last >= self._since) and (self._until is None or block.first < self._until)
        return is_in_window and (self._chosen is None or not self._chosen.isdisjoint(block.topics))

    def _match(self, topics: str | Collection[str]) -> frozenset[str]:
        """Return the recorded topics that match names and patterns, or raise `RecordingError`."""
        known = {topic for recording in self._recordings for block in recording.blocks for topic in block.topics}
        chosen: set[str] = set()
        for wanted in check_topics(flat_topics(topics)):
            matches = _matcher(wanted)
            found = {topic for topic in known if matches(topic)}
            if not found:
                raise RecordingError(f"no event on {wanted!r} was recorded: there are {', '.join(map(repr, sorted(known))) or 'none'}")
            chosen |= found
        return frozenset(chosen)

    def _note(self, damage: Damage) -> None:
        self.damages.append(damage)
        if not damage.is_truncated and self._on_damage == "raise":
            raise DamagedRecordingError(f"{damage}: restore the file from a copy, or read the rest with on_damage='skip' (--skip-damaged)")
        log.warning("%s", damage)


def _matcher(wanted: str) -> Callable[[str], bool]:
    """Return the function that says whether a topic is the wanted one, or matches the pattern."""
    pattern = Glob(wanted)
    return lambda topic: topic == wanted or pattern.matches(topic)


def _is_before(event_id: str, known: str) -> bool:
    """Return whether an id is before another one of the same log: a retained event may be older than the begin of a recording."""
    (bare, _, epoch), (known_bare, _, known_epoch) = event_id.partition("@"), known.partition("@")
    return epoch == known_epoch and _order(bare) < _order(known_bare)


def _order(bare_id: str) -> tuple[int, int]:
    ms, _, counter = bare_id.partition("-")
    return (int(ms), int(counter)) if ms.isdecimal() and counter.isdecimal() else (0, 0)
