"""Watch: the changes of the directory as an iterator, in order, each change once."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

import msgspec

from notify.directory.changes import Alarm, ServiceChange, read_change
from notify.errors import ClosedError
from notify.events import Event, Gap, Subscriber

__all__ = ["Available", "Change", "Suspect", "Wanted", "Watch", "Withdrawn"]


class Available(msgspec.Struct, frozen=True):
    """A service is registered and alive: it has come, or it was suspected and sends heartbeats again."""

    name: str
    incarnation: int


class Suspect(msgspec.Struct, frozen=True):
    """A service missed heartbeats; it is withdrawn if it stays silent."""

    name: str
    incarnation: int


class Withdrawn(msgspec.Struct, frozen=True):
    """A service is no longer registered.

    ``reason`` is ``withdrawn`` (it ended by itself), ``killed`` or ``expired`` (it stayed silent); ``why`` is an explanation.
    A watch on a group also gives ``left``: the service is still registered, but not in the group any more.
    """

    name: str
    incarnation: int
    reason: str
    why: str = ""


Change: TypeAlias = Available | Suspect | Withdrawn | Alarm


class Wanted(msgspec.Struct, frozen=True):
    """Which services a watch follows: by name, capability and group; an empty condition holds for every service."""

    names: frozenset[str]
    provides: str | None
    group: str | None

    def everything(self) -> bool:
        return not self.names and self.provides is None and self.group is None

    def fits(self, change: ServiceChange) -> bool:
        return (
            (not self.names or change.service in self.names)
            and (self.provides is None or self.provides in change.provides)
            and (self.group is None or self.group in change.groups)
        )


class Watch:
    """The changes of a directory, by iteration or by `get`. Made by `Directory.watch`."""

    def __init__(self, subscriber: Subscriber, present: Callable[[], dict[str, int]], wanted: Wanted) -> None:
        self._subscriber = subscriber
        self._present = present
        self._wanted = wanted
        self._known: dict[str, int] = {}
        self._ready: list[Change] = []
        self._must_compare = True
        try:
            # The subscription comes before the first look: a change between the two is seen twice, not missed, and yielded once.
            self._compare()
        except BaseException:
            subscriber.close()
            raise

    def get(self, timeout_s: float | None = None) -> Change | None:
        """Return the next change, or ``None`` if none comes within ``timeout_s`` seconds (``None``: wait).

        Raises:
            ClosedError: the watch is closed.
            ServerError: events were lost, and the server did not answer which services are registered; the next call asks again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ready:
            if self._must_compare:
                self._compare()
                continue
            item = self._subscriber.get(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if item is None:
                return None
            if isinstance(item, Gap):
                self._must_compare = True
            else:
                self._ready = self._read(item)
        return self._ready.pop(0)

    def __iter__(self) -> Iterator[Change]:
        """Yield changes until the watch is closed."""
        with suppress(ClosedError):
            while (change := self.get()) is not None:
                yield change

    def close(self) -> None:
        self._subscriber.close()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compare(self) -> None:
        """Make the changes between the known services and those registered now: at the start, and after a gap in the events."""
        present = self._present()
        gone: list[Change] = [
            Withdrawn(name, incarnation, "expired", "missed while out of touch")
            for name, incarnation in self._known.items()
            if present.get(name) != incarnation
        ]
        came: list[Change] = [Available(name, incarnation) for name, incarnation in present.items() if self._known.get(name) != incarnation]
        self._known, self._ready, self._must_compare = present, gone + came, False

    def _read(self, event: Event) -> list[Change]:
        change = read_change(event.contents)
        if isinstance(change, Alarm):
            return [change] if self._wanted.everything() else []
        if change is None or change.incarnation < self._known.get(change.service, 0):
            return []
        return self._follow(change)

    def _follow(self, change: ServiceChange) -> list[Change]:
        name, incarnation = change.service, change.incarnation
        known, fits = self._known.get(name) == incarnation, self._wanted.fits(change)
        if change.change == "withdrawn" or (change.change == "left" and not fits):
            if not known:
                return []
            del self._known[name]
            return [Withdrawn(name, incarnation, change.reason or change.change, change.why)]
        if change.change == "suspect":
            return [Suspect(name, incarnation)] if known else []
        if not fits:
            return []
        self._known[name] = incarnation
        return [Available(name, incarnation)] if not known or change.change == "recovered" else []
