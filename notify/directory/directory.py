"""The directory of services: finds services by name, capability or group, waits for them, watches them and withdraws them."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, overload

from notify.directory.info import End, ServiceInfo, silence
from notify.directory.reader import DirectoryReader
from notify.directory.scripts import DirectoryScripts
from notify.directory.target import Target
from notify.directory.upkeep import Upkeep
from notify.directory.waiting import check_conditions, check_needs, criteria, wait_for_all, wait_for_one
from notify.directory.watch import Wanted, Watch
from notify.directory.withdrawal import Incarnation
from notify.errors import ServiceNotFoundError
from notify.events import Subscriber, decode_direct, is_bare_id
from notify.keys import SERVICES_TOPIC
from notify.server import Client, whole
from notify.values import is_text

__all__ = ["Directory", "End", "ServiceInfo"]

D = TypeVar("D")

_RAISE: Final = object()
"""Stands for no default: ``None`` is one."""


class Directory:
    """The registered services. Every method asks the server; nothing is cached.

    Args:
        client: the server, the settings and the namespace to use.
        on_watch: called with each new `Watch`; an exception that it raises goes to the caller of `watch`.
        upkeep: the sweeps of the process; without it, each watch sweeps by itself until it is closed.
    """

    def __init__(self, client: Client, *, on_watch: Callable[[Watch], object] | None = None, upkeep: Upkeep | None = None) -> None:
        self._scripts = DirectoryScripts(client)
        self._keys = self._scripts.keys
        self._client = client
        self._on_watch = on_watch
        self._is_shared = upkeep is not None
        self._upkeep = upkeep or Upkeep(client)
        self._reader = DirectoryReader(client, self._upkeep)

    @overload
    def lookup(self, name: str, *, overdue: bool = False) -> ServiceInfo: ...

    @overload
    def lookup(self, name: str, *, overdue: bool = False, default: D) -> ServiceInfo | D: ...

    def lookup(self, name: str, *, overdue: bool = False, default: Any = _RAISE) -> Any:
        """Return the service of that name.

        Args:
            name: the name of the service.
            overdue: return the service also if no heartbeat came for its whole ttl.
            default: returned instead of an error, for example ``None``.

        Raises:
            ServiceNotFoundError: no service has that name, or the service is overdue, and no default was given.
        """
        try:
            return self._lookup(name, overdue=overdue)
        except ServiceNotFoundError:
            if default is _RAISE:
                raise
            return default

    @overload
    def find(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None
    ) -> ServiceInfo: ...

    @overload
    def find(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None, default: D
    ) -> ServiceInfo | D: ...

    def find(
        self,
        predicate: Callable[[ServiceInfo], bool] | None = None,
        *,
        provides: str | None = None,
        group: str | None = None,
        default: Any = _RAISE,
    ) -> Any:
        """Return the first service, in the order of registration, that fits all of the conditions. `find_all` returns all of them.

        Args:
            predicate: called with the description of a service; returns whether the service fits.
            provides: a capability that the service must have. Redis keeps an index, so the number of services does not matter.
            group: a group that the service must be in; this is answered from an index as well.
            default: returned instead of an error if no service fits, for example ``None``.

        Raises:
            ServiceNotFoundError: no service fits, and no default was given.
        """
        silent = []
        for service in self._reader.search(predicate, provides=provides, group=group, first_page=1):
            if not service.is_overdue:
                return service
            silent.append(service)
        if default is not _RAISE:
            return default
        wanted = criteria(provides, group)
        problem = f"is there: {silent[0].name!r} is {silence(silent[0].silent_s, silent[0].ttl_s)}" if silent else "is registered"
        raise ServiceNotFoundError(
            f"no service that {wanted} {problem} at {self._client.address} (`notify services` lists those that are)"
        ).about(capabilities=() if provides is None else [provides])

    def find_all(
        self,
        predicate: Callable[[ServiceInfo], bool] | None = None,
        *,
        provides: str | None = None,
        group: str | None = None,
        overdue: bool = False,
    ) -> list[ServiceInfo]:
        """Return every service that fits, in the order of registration; arguments as for `find`.

        ``overdue`` adds the services from which no heartbeat came for their whole ttl, and which nobody has withdrawn yet.
        """
        found = self._reader.search(predicate, provides=provides, group=group)
        return [service for service in found if overdue or not service.is_overdue]

    @overload
    def wait_for(
        self, name: Target | None = None, *, provides: str | None = None, group: str | None = None, timeout_s: float | None = None
    ) -> ServiceInfo: ...

    @overload
    def wait_for(self, name: Target, second: Target, /, *more: Target, timeout_s: float | None = None) -> list[ServiceInfo]: ...

    def wait_for(
        self,
        name: Target | None = None,
        *more: Target,
        provides: str | None = None,
        group: str | None = None,
        timeout_s: float | None = None,
    ) -> ServiceInfo | list[ServiceInfo]:
        """Wait until a service that fits is registered, and return it. With several needs, return one service for each.

        ``wait_for("storage", notify.provides("multiply"), timeout_s=5)`` returns two services, in this order, as soon as both
        are registered at the same time.

        Args:
            name: the first need: the name of a service, or `provides` for any service with a capability. Without it any service
                fits that has the capability ``provides`` and is in the group ``group``.
            more: further needs.
            provides: a capability that the service must have; not with several needs, nor with a need made by `provides`.
            group: a group that the service must be in; not with several needs.
            timeout_s: seconds to wait for all services together; ``None`` waits for ever.

        Raises:
            ServiceNotFoundError: a service is still missing when the time is over; the error names the missing services.
            InvalidServiceError: a need is neither a name nor made by `provides`, or ``provides`` or ``group`` is given where it
                may not be.
            ServerError: the server did not answer, or refused.
        """
        check_conditions(provides=provides, group=group)
        needs = check_needs([name, *more], provides=provides, group=group) if more or name is not None else []
        if more:
            return wait_for_all(self, needs, timeout_s=timeout_s, address=self._client.address)
        need, address = needs[0] if needs else None, self._client.address
        return wait_for_one(self, need, provides=provides, group=group, timeout_s=timeout_s, address=address)

    def __iter__(self) -> Iterator[ServiceInfo]:
        return iter(self.find_all())

    def __contains__(self, name: object) -> bool:
        return is_text(name) and any(not service.is_overdue for service in self._reader.read([str(name)]))

    def is_taken(self, name: str) -> bool:
        """Return whether a service has that name, be it overdue: another one that asks for it gets a suffix."""
        with self._client.translating("searching the directory"):
            return is_text(name) and bool(self._client.sismember(self._keys.services, name))

    def kill(self, name: str, *, why: str = "") -> str:
        """Withdraw a service, which any process may do, and publish its end as a fatal event on its status topic.

        From this instant no job that needs the service starts, unless the job ignores the loss. The process of the service learns
        of the kill from the answer to its next heartbeat, and ends for good. A standby that waits for the name has it at once.

        Args:
            name: the name of the service.
            why: an explanation, published with the event.

        Returns:
            The id of the status event.

        Raises:
            ServiceNotFoundError: no service has that name, or the service was withdrawn meanwhile.
        """
        service = self.lookup(name, overdue=True)
        event_id = self.withdraw(name, service.incarnation, reason="killed", why=why)
        if event_id is None:
            raise ServiceNotFoundError(f"the service {name!r} was withdrawn before it could be killed").about(name)
        return event_id

    def withdraw(self, name: str, incarnation: int, *, reason: str, why: str = "", only_if_due: bool = False) -> str | None:
        """Remove one incarnation of a service from the directory, and announce that there and on the status topic of the service.

        Args:
            name: the name of the service.
            incarnation: only this registration is withdrawn, never its successor.
            reason: ``withdrawn``, ``killed`` or ``expired``.
            why: an explanation, published with the event.
            only_if_due: withdraw the service only if its deadline has passed by the server's clock, and neither a grace nor the
                brake of the sweep (see `Monitor`) extends it.

        Returns:
            The id of the status event; ``None`` if this incarnation was not registered any more, or was not due.
        """
        (event_id,) = self._scripts.withdraw([Incarnation(name, incarnation)], reason=reason, why=why, only_if_due=only_if_due)
        return event_id

    def last_end(self, name: str) -> End | None:
        """Return how the last service with that name ended; ``None`` if none ended within the last day."""
        if not is_text(name):
            return None
        with self._client.translating("reading the directory"):
            row: Any = self._client.hgetall(self._keys.tombstone(name))
        text = {name: row.get(name.encode(), b"").decode(errors="replace") for name in ("reason", "why", "event")}
        return End(whole(row.get(b"incarnation"), 0), **text) if row else None

    def ended_by(self, name: str) -> str:
        """Return which process ended the last service with that name, as ``host:pid``; empty if that is not known any more."""
        end = self.last_end(name)
        event_id = "" if end is None else end.event.partition("@")[0]
        if not is_bare_id(event_id):
            return ""
        with self._client.translating("reading the log of a service"):
            found: Any = self._client.xrange(self._keys.log(self._keys.status_topic(name)), event_id, event_id)
        events = [decode_direct(fields.get(b"data", b"")) for _, fields in found]
        return "".join(event.source or "" for event in events if event is not None)

    def watch(self, *names: str, provides: str | None = None, group: str | None = None) -> Watch:
        """Follow registrations, suspicions and withdrawals of services.

        Args:
            names: the services to follow; without a name all services.
            provides: follow only services with this capability.
            group: follow only services in this group, while they are in it.

        Returns:
            An iterable context manager of `Available`, `Suspect` and `Withdrawn`. It begins with an `Available` for each service
            that is registered already, and a `Suspect` for each overdue one. A watch on all services also yields `Alarm`.

        Raises:
            InvalidServiceError: a name, ``provides`` or ``group`` is not text.
            ServerError: the server did not answer, or refused.
        """
        check_conditions(*names, provides=provides, group=group)
        wanted = Wanted(frozenset(names), provides, group)
        upkeep = self._upkeep if self._is_shared else Upkeep(self._client)

        def find_registered() -> list[ServiceInfo]:
            return list(self._reader.search(provides=provides, group=group, names=wanted.names))

        subscriber = Subscriber(self._client, [SERVICES_TOPIC], name="watch")
        on_close = None if self._is_shared else upkeep.close
        watch = Watch(subscriber, find_registered, wanted, find_end=self.last_end, on_close=on_close)
        upkeep.keep_sweeping()
        if self._on_watch is not None:
            self._on_watch(watch)
        return watch

    def _lookup(self, name: str, *, overdue: bool) -> ServiceInfo:
        found = self._reader.read([name]) if is_text(name) else []
        if not found:
            if self.is_taken(name):
                self._upkeep.sweep_once()  # the description is gone, and nobody has withdrawn the service
            raise ServiceNotFoundError(
                f"no service named {name!r} is registered at {self._client.address}: start it (`notify services` lists those that run)"
            ).about(name)
        if found[0].is_overdue and not overdue:
            raise ServiceNotFoundError(
                f"the service named {name!r} at {self._client.address} is {silence(found[0].silent_s, found[0].ttl_s)}"
            ).about(name)
        return found[0]
