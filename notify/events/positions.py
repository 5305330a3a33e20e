"""Where a subscriber stands in each topic's log: what comes next, what came already, what is missing."""

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
"""Entries read from a log at once."""
BEGINNING: Final = "0-0"
START: Final = "start"
"""Since when: from the first event that the log still holds."""

log = logging.getLogger(__name__)


class Positions:
    """The position of one subscriber in any number of topics: per topic an epoch and the bare id delivered last."""

    def __init__(self, scripts: EventScripts) -> None:
        self._scripts = scripts
        self._positions: dict[str, tuple[str, str]] = {}

    def start(self, topics: Sequence[str], *, since: Mapping[str, str] | None = None) -> list[Event]:
        """Take up a position in each topic.

        Args:
            topics: which.
            since: per topic an id or `START`; a topic that is not named begins at its present end.

        Returns:
            What is retained at that instant, of the topics that begin at their end.
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
                    log.error("what is retained cannot be read: %s", exc)
        return retained

    def ids(self) -> dict[str, str]:
        """The positions, topic by topic, to begin with another time: ids, or `START` where there is no log yet."""
        return {topic: f"{last}@{epoch}" if epoch else START for topic, (epoch, last) in self._positions.items()}

    def deliver(self, topic: str, payload: bytes) -> tuple[Event, ...] | Iterator[Event | Gap]:
        """What a live message leads to: its event, nothing if it was delivered already, or a `repair` if it shows that some are missing."""
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
        """Return those of the topics whose logs stand elsewhere than their positions."""
        heads = zip(topics, self._scripts.heads(topics), strict=True)
        return [topic for topic, (epoch, last) in heads if (epoch or "", last or BEGINNING) != self._positions.get(topic, ("", BEGINNING))]

    def repair(self, topic: str) -> Iterator[Event | Gap]:
        """Yield what the log holds beyond the position, and a `Gap` for what it should hold and does not."""
        epoch, after = self._positions.setdefault(topic, ("", BEGINNING))
        while True:
            page = self._scripts.read_log(topic, after=after, count=PAGE)
            if (page.epoch or "") != epoch:
                if epoch:
                    yield Gap(topic, "epoch", f"{self._positions[topic][1]}@{epoch}", None)
                is_its_beginning = after == BEGINNING
                epoch, after = page.epoch or "", BEGINNING
                self._positions[topic] = (epoch, after)
                if not is_its_beginning:
                    continue
            yield from self._replay(topic, page)
            if len(page.entries) < PAGE:
                yield from self._arrive(topic, page)
                return
            after = page.entries[-1][0]

    def _replay(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        epoch, last = self._positions[topic]
        for entry_id, prev, entry_epoch, data in page.entries:
            if entry_epoch != epoch:
                continue  # left over from before the log began anew
            if prev != last:
                yield _gap(topic, epoch, last, prev)
            stamp = f'{{"id":"{entry_id}@{epoch}","prev":"{prev}",'.encode()
            last = entry_id
            self._positions[topic] = (epoch, last)
            yield decode(topic, stamp + data[1:])[0]

    def _arrive(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        """Compare where the reading ended with where the log ends."""
        epoch, last = self._positions[topic]
        if page.last is None or page.last == last:
            return
        self._positions[topic] = (epoch, page.last)
        yield _gap(topic, epoch, last, page.last)


def _gap(topic: str, epoch: str, delivered: str, present: str) -> Gap:
    """What lies between the event delivered last and the one that the log knows in its place."""
    if _order(present) < _order(delivered):
        return Gap(topic, "rollback", f"{present}@{epoch}", f"{delivered}@{epoch}")
    return Gap(topic, "trimmed", f"{delivered}@{epoch}", f"{present}@{epoch}")


def _order(bare_id: str) -> tuple[int, int]:
    """Where an id stands among those of its log; one that was made up by hand stands before them all."""
    ms, _, counter = bare_id.partition("-")
    return (int(ms), int(counter)) if ms.isdecimal() and counter.isdecimal() else (0, 0)


def check_id(event_id: object) -> str:
    """Return the id if it is one that `Bus.publish` returned, or `START`, else raise `InvalidPositionError`."""
    if isinstance(event_id, str) and (event_id == START or re.fullmatch(r"\d+-\d+@\w+", event_id)):
        return event_id
    raise InvalidPositionError(f"since is {event_id!r}: give the id of an event, as publish returns it, or {START!r}")


def position_after(item: Event | Gap, known: str) -> str:
    """Return where to begin another time once an item was dealt with; ``known`` is where that was before it."""
    if isinstance(item, Gap):
        # Where the log began anew all of it follows; after a rollback, what comes after the event that it went back to.
        return {"epoch": START, "rollback": item.first}.get(item.reason, item.last) or known
    if item.id is None:
        return known
    (bare, _, epoch), (known_bare, _, known_epoch) = item.id.partition("@"), known.partition("@")
    retained_earlier = epoch == known_epoch and _order(bare) < _order(known_bare)
    return known if retained_earlier else item.id


def check_since(since: Mapping[str, str] | str | None, topics: Sequence[str]) -> Mapping[str, str] | str | None:
    """Return what a subscription to ``topics`` begins after, if it can, else raise `InvalidPositionError`."""
    if since is None or since == START:
        return since
    if isinstance(since, Mapping):
        return {topic: check_id(event_id) for topic, event_id in since.items()}
    if len(topics) > 1 or is_pattern(topics[0]):
        raise InvalidPositionError("one id is a position in one topic: for several give a mapping, topic -> id, as `positions` gives it")
    return {topics[0]: check_id(since)}
