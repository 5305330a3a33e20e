"""Watch: an iterator over the changes of the directory, in order, each change once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

import msgspec

from notify.directory.changes import Alarm, ServiceChange, read_change
from notify.directory.info import End, ServiceInfo
from notify.errors import ClosedError
from notify.events import Event, Gap, Subscriber

__all__ = ["Available", "Change", "Suspect", "Wanted", "Watch", "Withdrawn"]


class Available(msgspec.Struct, frozen=True):
    """A service is registered and alive: it has registered, or it was suspected and sends heartbeats again.

    Of an overdue service a watch may yield it without a `Suspect` before, because nobody had noticed the silence.

    A watch on a group also yields it when a registered service joins the group.
    """

    name: str
    incarnation: int


class Suspect(msgspec.Struct, frozen=True):
    """A service missed heartbeats. If none comes before its ttl is over, the service is withdrawn."""

    name: str
    incarnation: int


class Withdrawn(msgspec.Struct, frozen=True):
    """A service is no longer registered.

    ``reason`` is ``withdrawn`` (it ended by itself), ``killed``, ``expired`` (it sent no heartbeats, or its process is gone) or
    ``promoted`` (a standby has got the name that it waited for, and goes on under that); ``why`` is an explanation.
    The reason ``left`` comes from a watch on a group: the service is still registered, but not in the group any more. If the
    announcement was lost and a later service with that name ended since, the true reason is unknown: the watch gives ``expired``, and
    ``why`` says so.
    """

    name: str
    incarnation: int
    reason: str
    why: str = ""


Change: TypeAlias = Available | Suspect | Withdrawn | Alarm


class Wanted(msgspec.Struct, frozen=True):
    """The services that a watch follows, by name, capability and group. A condition that is empty or ``None`` fits every service."""

    names: frozenset[str]
    provides: str | None
    group: str | None

    def everything(self) -> bool:
        """Return whether the watch follows all services."""
        return not self.names and self.provides is None and self.group is None

    def fits(self, change: ServiceChange) -> bool:
        """Return whether the watch follows the service of a change, as the service is after the change."""
        return (
            (not self.names or change.service in self.names)
            and (self.provides is None or self.provides in change.provides)
            and (self.group is None or self.group in change.groups)
        )


class Watch:
    """The changes of a directory, by iteration or by `get`. Made by `Directory.watch`.

    Args:
        subscriber: receives the topic ``services``; the watch closes it.
        find_registered: returns the services that are registered now and fit, also the overdue ones.
        wanted: the services to follow.
        find_end: returns how the last service with a name ended.
        on_close: called when the watch ends.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        find_registered: Callable[[], list[ServiceInfo]],
        wanted: Wanted,
        *,
        find_end: Callable[[str], End | None],
        on_close: Callable[[], object] | None = None,
    ) -> None:
        self._subscriber = subscriber
        self._find_registered = find_registered
        self._wanted = wanted
        self._find_end = find_end
        self._on_close = on_close
        self._known: dict[str, int] = {}  # the incarnations of the registered services, as far as this watch has announced them
        self._overdue: set[tuple[str, int]] = set()  # those that it began with, and that no event has named since
        self._ready: list[Change] = []
        self._must_compare = True
        self._comparing = threading.RLock()
        try:
            # The subscription begins before the registered services are read. A change in between is then seen twice, and yielded
            # once; in the other order it would be missed.
            self._compare()
        except BaseException:
            subscriber.close()
            raise

    def get(self, timeout_s: float | None = None) -> Change | None:
        """Return the next change, or ``None`` if none comes within ``timeout_s`` seconds (``None`` waits for ever).

        Raises:
            ClosedError: the watch is closed.
            ServerError: events were lost, and the server could not be asked which services are registered. The next call asks again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ready:
            if self._must_compare:
                with self._comparing:
                    self._subscriber.check_open()
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
        with suppress(ClosedError):  # another thread has closed it
            while (change := self.get()) is not None:
                yield change

    def close(self) -> bool:
        """End the watch. A `get` that waits in another thread returns ``None``. Returns ``False`` if the watch has ended already."""
        was_open = self._subscriber.close()
        with self._comparing:
            pass  # the directory is not read any more: the connection may be closed
        if was_open and self._on_close is not None:
            self._on_close()
        return was_open

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compare(self) -> None:
        """Yield next the differences between the known services and those registered now: at the start, and after lost events."""
        found = self._find_registered()
        registered = {service.name: service.incarnation for service in found}
        gone: list[Change] = [
            self._gone(name, incarnation) for name, incarnation in self._known.items() if registered.get(name) != incarnation
        ]
        new: list[Change] = [
            (Suspect if service.is_overdue else Available)(service.name, service.incarnation)
            for service in found
            if self._known.get(service.name) != service.incarnation
        ]
        self._overdue |= {(change.name, change.incarnation) for change in new if isinstance(change, Suspect)}
        self._known, self._ready, self._must_compare = registered, gone + new, False

    def _gone(self, name: str, incarnation: int) -> Withdrawn:
        """Return the withdrawal of a service of which the announcement was lost."""
        end = self._find_end(name)
        if end is None or end.incarnation != incarnation:
            return Withdrawn(name, incarnation, "expired", "the announcement of its withdrawal was lost")
        return Withdrawn(name, incarnation, end.reason, end.why)

    def _read(self, event: Event) -> list[Change]:
        """Return the changes to yield for an event. An event about an incarnation before the known one is ignored."""
        change = read_change(event.contents)
        if isinstance(change, Alarm):
            return [change] if self._wanted.everything() else []
        if change is None or change.incarnation < self._known.get(change.service, 0):
            return []
        return self._follow(change)

    def _follow(self, change: ServiceChange) -> list[Change]:
        """Bring the known services up to date with a change, and return the changes to yield."""
        name, incarnation = change.service, change.incarnation
        known, fits = self._known.get(name) == incarnation, self._wanted.fits(change)
        is_told = (name, incarnation) in self._overdue  # a sweep suspects it only now
        self._overdue.discard((name, incarnation))
        if change.change == "withdrawn" or (change.change == "left" and not fits):
            if not known:
                return []
            del self._known[name]
            return [Withdrawn(name, incarnation, change.reason or change.change, change.why)]
        if change.change == "suspect":
            return [Suspect(name, incarnation)] if known and not is_told else []
        if not fits:
            return []
        self._known[name] = incarnation
        return [Available(name, incarnation)] if not known or change.change == "recovered" else []
