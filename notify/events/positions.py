"""The position of a subscriber in the log of each topic, and the repair that reads the events it missed."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from notify.errors import ContentsError, InvalidPositionError
from notify.events.event import Event, Gap, decode
from notify.events.scripts import EventScripts, Page
from notify.events.topic import is_pattern

__all__ = ["START", "Positions", "check_id", "check_since", "position_after"]

PAGE: Final = 500
"""Entries that are read from a log at once."""
BEGINNING: Final = "0-0"
START: Final = "start"
"""A position before the first event that the log still holds."""

log = logging.getLogger(__name__)


class Positions:
    """The positions of one subscriber: for each topic the epoch of the log, and the id, without epoch, of the last delivered event."""

    def __init__(self, scripts: EventScripts) -> None:
        self._scripts = scripts
        self._positions: dict[str, tuple[str, str]] = {}

    def start(self, topics: Sequence[str], *, since: Mapping[str, str] | None = None) -> list[Event]:
        """Set the position in each topic.

        Args:
            topics: the topics.
            since: topic → id or `START`. For a topic that is not in it the position is the present end of its log.

        Returns:
            The retained events at that instant of the topics that begin at the end of their log.
        """
        retained = []
        for topic, (epoch, last, payload) in zip(topics, self._scripts.standing(topics), strict=True):
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
                    log.error("the retained event of %r cannot be read: %s", topic, exc)
        return retained

    def ids(self) -> dict[str, str]:
        """Return the positions as a later subscription takes them: topic → id, or `START` for a topic without a log."""
        return {topic: f"{last}@{epoch}" if epoch else START for topic, (epoch, last) in self._positions.items()}

    def deliver(self, topic: str, payload: bytes) -> tuple[Event, ...] | Iterator[Event | Gap]:
        """Return what to deliver for a message: its event, nothing if it was delivered before, or a `repair` if events are missing."""
        event, prev = decode(topic, payload)
        if event.id is None or prev is None:
            return (event,)
        bare, _, epoch = event.id.partition("@")
        known_epoch, last = self._positions.setdefault(topic, ("", BEGINNING))
        if prev == last and known_epoch in (epoch, ""):
            self._positions[topic] = (epoch, bare)
            return (event,)
        if known_epoch != epoch or _order(bare) > _order(last):
            return self.repair(topic)
        return ()

    def moved(self, topics: Sequence[str]) -> list[str]:
        """Return the topics whose log does not end at the position of the subscriber."""
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
            if len(page.entries) < PAGE:
                yield from self._finish(topic, page)
                return
            after = page.entries[-1][0]

    def _replay(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        epoch, last = self._positions[topic]
        for entry_id, prev, entry_epoch, data in page.entries:
            if entry_epoch != epoch:
                continue  # an entry of an earlier epoch
            if prev != last:
                yield _gap(topic, epoch, last, prev)
            stamp = f'{{"id":"{entry_id}@{epoch}","prev":"{prev}",'.encode()
            last = entry_id
            self._positions[topic] = (epoch, last)
            yield decode(topic, stamp + data[1:])[0]

    def _finish(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        """Yield a gap if the log ends at another event than the last one that was read."""
        epoch, last = self._positions[topic]
        if page.last is None or page.last == last:
            return
        self._positions[topic] = (epoch, page.last)
        yield _gap(topic, epoch, last, page.last)


def _gap(topic: str, epoch: str, delivered: str, present: str) -> Gap:
    """The gap between the event that was delivered last and the one that the log holds in its place."""
    if _order(present) < _order(delivered):
        return Gap(topic, "rollback", f"{present}@{epoch}", f"{delivered}@{epoch}")
    return Gap(topic, "trimmed", f"{delivered}@{epoch}", f"{present}@{epoch}")


def _order(bare_id: str) -> tuple[int, int]:
    """The sort key of an id in its log. An id that was not made by the server sorts before all others."""
    ms, _, counter = bare_id.partition("-")
    return (int(ms), int(counter)) if ms.isdecimal() and counter.isdecimal() else (0, 0)


def check_id(event_id: object) -> str:
    """Return the id if it has the form of those that `Bus.publish` returns, or is `START`; else raise `InvalidPositionError`."""
    if isinstance(event_id, str) and (event_id == START or re.fullmatch(r"\d+-\d+@\w+", event_id)):
        return event_id
    raise InvalidPositionError(f"since is {event_id!r}: give the id of an event, as publish returns it, or {START!r}")


def position_after(item: Event | Gap, known: str) -> str:
    """Return the position in a topic after an item was delivered; ``known`` is the position before."""
    if isinstance(item, Gap):
        # A new log is read from its start; after a rollback the log continues after the event that it went back to.
        return {"epoch": START, "rollback": item.first}.get(item.reason, item.last) or known
    if item.id is None:
        return known
    (bare, _, epoch), (known_bare, _, known_epoch) = item.id.partition("@"), known.partition("@")
    retained_earlier = epoch == known_epoch and _order(bare) < _order(known_bare)
    return known if retained_earlier else item.id


def check_since(since: Mapping[str, str] | str | None, topics: Sequence[str]) -> Mapping[str, str] | str | None:
    """Return the position, or the positions by topic, after which a subscription begins, or raise `InvalidPositionError`."""
    if since is None or since == START:
        return since
    if isinstance(since, Mapping):
        return {topic: check_id(event_id) for topic, event_id in since.items()}
    if len(topics) > 1 or is_pattern(topics[0]):
        raise InvalidPositionError(
            "one id is a position in one topic: for several topics give a mapping, topic -> id, as `Subscriber.positions` returns it"
        )
    return {topics[0]: check_id(since)}
