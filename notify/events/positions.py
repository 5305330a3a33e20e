"""The positions of a subscriber: how far it has read each topic, and the repair, which reads missed events from the log.

A bare id is the id of an event without the epoch of the log.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from notify.errors import ContentsError, EventError, InvalidPositionError, ServerRefusedError
from notify.events.event import Event, Gap, decode, is_bare_id
from notify.events.scripts import EventScripts, Page
from notify.events.topic import is_pattern
from notify.server import is_of_another_type

__all__ = ["START", "MissedEvents", "Positions", "check_id", "check_since", "position_after", "since_by_topic"]

PAGE: Final = 500
"""The most entries that are read from a log at once. Large ones are fewer: see `EventScripts.read_log`."""
BEGINNING: Final = "0-0"
"""The bare id before the first entry of every log."""
START: Final = "start"
"""The position before the first event that the log still holds."""

log = logging.getLogger(__name__)


class Positions:
    """The positions of one subscriber: for each topic the epoch of its log and the bare id of the last delivered event."""

    def __init__(self, scripts: EventScripts) -> None:
        self._scripts = scripts
        self._positions: dict[str, tuple[str, str]] = {}
        self._turn = 0

    def start(self, topics: Sequence[str], *, since: Mapping[str, str] | None = None) -> list[Event]:
        """Set the position in each topic.

        Args:
            topics: the topics.
            since: topic → id or `START`. The position in all other topics is the present end of the log.

        Returns:
            The retained events of those other topics, read at the same instant.
        """
        retained = []
        for topic, (epoch, last, payload) in zip(topics, self._scripts.heads_and_retained(topics), strict=True):
            wanted = (since or {}).get(topic)
            if wanted is not None:
                bare, _, known_epoch = wanted.partition("@")
                self._positions[topic] = ("", BEGINNING) if wanted == START else (known_epoch, bare)
                continue
            self._positions[topic] = (epoch or "", last or BEGINNING)
            if payload is not None:
                try:
                    retained.append(decode(topic, payload)[0])
                except ContentsError as exc:
                    log.error("the retained event of %r cannot be decoded and is skipped: %s", topic, exc)
        return retained

    def ids(self) -> dict[str, str]:
        """Return topic → id, or `START` for a topic without a log: the form that ``since`` of a later subscription takes."""
        return {topic: f"{last}@{epoch}" if epoch else START for topic, (epoch, last) in self._positions.items()}

    def deliver(self, topic: str, payload: bytes) -> tuple[Event, ...] | Iterator[Event | Gap]:
        """Return the event in a message; nothing if it was delivered before; the iterator of `repair` if events before it are missing."""
        event, prev = decode(topic, payload)
        if event.id is None or prev is None:
            return (event,)
        bare, _, epoch = event.id.partition("@")
        if not is_bare_id(bare):
            return (event,)  # another program has stamped it: it has no place in the log
        known_epoch, last = self._positions.setdefault(topic, ("", BEGINNING))
        if prev == last and known_epoch in (epoch, ""):
            self._positions[topic] = (epoch, bare)
            return (event,)
        if known_epoch != epoch or _order(bare) > _order(last):
            return self.repair(topic)
        return ()

    def in_turn(self, recent: Sequence[str], count: int) -> list[str]:
        """Return ``count`` topics: the recent ones and some others, different ones each time. If more are recent, some of these."""
        known = set(recent)
        always, others = (recent, [topic for topic in self._positions if topic not in known]) if len(recent) <= count else ((), recent)
        first, room = self._turn if self._turn < len(others) else 0, count - len(always)
        self._turn = first + room
        return [*always, *others[first : first + room]]

    def topics_to_repair(self, topics: Sequence[str]) -> list[str]:
        """Return the topics whose last event is not the one at the position of the subscriber."""
        heads = zip(topics, self._scripts.heads(topics), strict=True)
        return [topic for topic, (epoch, last) in heads if (epoch or "", last or BEGINNING) != self._positions.get(topic, ("", BEGINNING))]

    def repair(self, topic: str) -> Iterator[Event | Gap]:
        """Yield the events of the log after the position, and a `Gap` for events that the log no longer holds."""
        epoch, after = self._positions.setdefault(topic, ("", BEGINNING))
        while True:
            page = self._scripts.read_log(topic, after=after, count=PAGE)
            if (page.epoch or "") != epoch:
                if epoch:
                    yield Gap(topic, "epoch", f"{self._positions[topic][1]}@{epoch}", None)
                was_read_from_the_beginning = after == BEGINNING
                epoch, after = page.epoch or "", BEGINNING
                self._positions[topic] = (epoch, after)
                if not was_read_from_the_beginning:
                    continue
            yield from self._replay(topic, page)
            if not page.more:
                yield from self._finish(topic, page)
                return
            after = page.entries[-1][0]

    def _replay(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        """Yield the events of a page, and a gap wherever events are missing between two of them."""
        epoch, last = self._positions[topic]
        for entry_id, prev, entry_epoch, data in page.entries:
            if entry_epoch != epoch:
                continue  # the entry is of an earlier epoch
            if prev not in (last, ""):
                yield _gap(topic, epoch, last, prev)
            stamp = f'{{"id":"{entry_id}@{epoch}","prev":"{prev}",'.encode()
            last = entry_id
            self._positions[topic] = (epoch, last)
            yield decode(topic, stamp + data[1:])[0]

    def _finish(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        """Yield a gap if the last event of the topic is not the last event that was read."""
        epoch, last = self._positions[topic]
        if page.last is None or page.last == last:
            return
        self._positions[topic] = (epoch, page.last)
        yield _gap(topic, epoch, last, page.last)


class MissedEvents:
    """The missed events of some topics, read from the logs page by page as they are needed: a long log does not fill the memory.

    Args:
        positions: reads the logs.
        skip: is called with the topic and the error for what cannot be read: an entry, or a log whose key holds another type.
    """

    def __init__(self, positions: Positions, skip: Callable[[str, EventError | ServerRefusedError], object]) -> None:
        self._positions = positions
        self._skip = skip
        self._waiting: deque[tuple[str, Iterator[Event | Gap]]] = deque()

    def add(self, topic: str, items: Iterator[Event | Gap] | None = None) -> None:
        """Add a topic; ``items`` is what `Positions.deliver` returned for it."""
        self._waiting.append((topic, items or self._positions.repair(topic)))

    def clear(self) -> None:
        """Forget all that was added."""
        self._waiting.clear()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def next(self) -> Event | Gap | None:
        """Return the next event or gap; ``None`` if a topic has no more, or something was skipped."""
        topic, items = self._waiting[0]
        try:
            item = next(items, None)
        except ContentsError as exc:
            self._skip(topic, exc)
            self._waiting[0] = topic, self._positions.repair(topic)  # the position is behind that entry
            return None
        except ServerRefusedError as exc:
            if not is_of_another_type(exc):
                raise
            self._skip(topic, exc)
            item = None
        if item is None:
            self._waiting.popleft()
        return item


def _gap(topic: str, epoch: str, delivered: str, present: str) -> Gap:
    """Return the gap after the bare id ``delivered``, the last delivered event, where the log continues after the bare id ``present``."""
    if _order(present) < _order(delivered):
        return Gap(topic, "rollback", f"{present}@{epoch}", f"{delivered}@{epoch}")
    return Gap(topic, "trimmed", f"{delivered}@{epoch}", f"{present}@{epoch}")


def _order(bare_id: str) -> tuple[int, int]:
    """Return the sort key of a bare id. An id that was not made by the server sorts before all others."""
    ms, _, counter = bare_id.partition("-")
    return (int(ms), int(counter)) if is_bare_id(bare_id) else (0, 0)


def check_id(event_id: object) -> str:
    """Return the id if it has the form of the ids of `Bus.publish`, or is `START`; else raise `InvalidPositionError`."""
    if isinstance(event_id, str) and (event_id == START or re.fullmatch(r"\d+-\d+@\w+", event_id)):
        return event_id
    raise InvalidPositionError(f"since is {event_id!r}: give the id of an event, as publish returns it, or {START!r}")


def position_after(item: Event | Gap, known: str) -> str:
    """Return the position in a topic after an item was delivered; ``known`` is the position before."""
    if isinstance(item, Gap):
        # A log of a new epoch is read from its start; after a rollback the log continues after the last event that the server kept.
        return {"epoch": START, "rollback": item.first}.get(item.reason, item.last) or known
    if item.id is None:
        return known
    (bare, _, epoch), (known_bare, _, known_epoch) = item.id.partition("@"), known.partition("@")
    is_older_retained = epoch == known_epoch and _order(bare) < _order(known_bare)
    return known if is_older_retained else item.id


def check_since(since: Mapping[str, str] | str | None, topics: Sequence[str]) -> Mapping[str, str] | str | None:
    """Return ``since`` with each id checked, as topic → id if it is one id; raise `InvalidPositionError` if it cannot be used."""
    if since is None or since == START:
        return since
    if isinstance(since, Mapping):
        return {topic: check_id(event_id) for topic, event_id in since.items()}
    if len(topics) > 1 or is_pattern(topics[0]):
        raise InvalidPositionError(
            "one id is a position in one topic: for several topics give a mapping, topic -> id, as `Subscriber.positions` returns it"
        )
    return {topics[0]: check_id(since)}


def since_by_topic(
    since: Mapping[str, str] | str | None, topics: Sequence[str], pattern_of: Callable[[str], str | None]
) -> Mapping[str, str]:
    """Return topic → position at which to begin, as ``since`` gives it for the topic, for its pattern, or for all topics."""
    if isinstance(since, str):
        return dict.fromkeys(topics, since)
    named = since or {}
    wanted = {topic: named.get(topic) or named.get(pattern_of(topic) or topic) for topic in topics}
    return {topic: position for topic, position in wanted.items() if position is not None}
