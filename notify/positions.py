"""Where a subscriber stands in each topic's log: what comes next, what came already, what is missing."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from notify.errors import InvalidPositionError
from notify.event import Event, Gap, decode
from notify.scripts import Page, Scripts

__all__ = ["START", "Positions", "check_id"]

PAGE: Final = 500
"""Entries read from a log at once."""
BEGINNING: Final = "0-0"
START: Final = "start"
"""Since when: from the first event that the log still holds."""


class Positions:
    """The position of one subscriber in any number of topics: per topic an epoch and the bare id delivered last."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._positions: dict[str, tuple[str, str]] = {}

    def start(self, topics: Iterable[str], *, since: Mapping[str, str] | str | None = None) -> None:
        """Take up a position in each topic.

        Args:
            topics: which.
            since: an id per topic (or `START`); a topic that is not named, or all with ``None``, begin at the present end.
        """
        for topic in topics:
            wanted = since if isinstance(since, str) else (since or {}).get(topic)
            if wanted == START:
                self._positions[topic] = ("", BEGINNING)
            elif wanted is not None:
                bare, _, epoch = wanted.partition("@")
                self._positions[topic] = (epoch, bare)
            else:
                page = self._scripts.catch_up(topic, after=BEGINNING, count=0)
                self._positions[topic] = (page.epoch or "", page.last or BEGINNING)

    def ids(self) -> dict[str, str]:
        """The positions, topic by topic, as ids to begin with another time."""
        return {topic: f"{last}@{epoch}" for topic, (epoch, last) in self._positions.items() if epoch}

    def deliver(self, topic: str, payload: bytes) -> Iterator[Event | Gap]:
        """Yield what a live message leads to: nothing if it was delivered already, its event, or first what it shows to be missing."""
        event, prev = decode(topic, payload)
        if event.id is None or prev is None:
            yield event
            return
        bare, _, epoch = event.id.partition("@")
        known_epoch, last = self._positions.setdefault(topic, ("", BEGINNING))
        if known_epoch in (epoch, "") and prev == last:
            self._positions[topic] = (epoch, bare)
            yield event
        elif known_epoch != epoch or _order(bare) > _order(last):
            yield from self.repair(topic)

    def repair(self, topic: str) -> Iterator[Event | Gap]:
        """Yield what the log holds beyond the position, and a `Gap` for what it should hold and does not."""
        while True:
            epoch, last = self._positions.setdefault(topic, ("", BEGINNING))
            page = self._scripts.catch_up(topic, after=last, count=PAGE)
            if (page.epoch or "") != epoch:
                if epoch:
                    yield Gap(topic, "epoch", f"{last}@{epoch}", None)
                self._positions[topic] = (page.epoch or "", BEGINNING)
                continue
            yield from self._replay(topic, page)
            if len(page.entries) < PAGE:
                yield from self._arrive(topic, page)
                return

    def _replay(self, topic: str, page: Page) -> Iterator[Event | Gap]:
        epoch, last = self._positions[topic]
        for entry_id, prev, entry_epoch, data in page.entries:
            if entry_epoch != epoch:
                continue  # left over from before the log began anew
            if prev != last:
                yield Gap(topic, "trimmed", f"{last}@{epoch}", f"{prev}@{epoch}")
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
        if _order(page.last) < _order(last):
            yield Gap(topic, "rollback", f"{page.last}@{epoch}", f"{last}@{epoch}")
        else:
            yield Gap(topic, "trimmed", f"{last}@{epoch}", f"{page.last}@{epoch}")


def _order(bare_id: str) -> tuple[int, int]:
    ms, _, counter = bare_id.partition("-")
    return int(ms), int(counter)


def check_id(event_id: object) -> str:
    """Return the id if it is one that `Bus.publish` returned, or `START`, else raise `InvalidPositionError`."""
    if event_id != START and not (isinstance(event_id, str) and re.fullmatch(r"\d+-\d+@\w+", event_id)):
        raise InvalidPositionError(f"since is {event_id!r}: give the id of an event, as publish returns it, or {START!r}")
    return event_id
