"""The directory of services: finds services by name, capability or group, waits for them, watches them and withdraws them."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, overload

import msgspec

from notify.directory.info import ServiceInfo, is_text, read_description
from notify.directory.scripts import DirectoryScripts, Incarnation
from notify.directory.target import Target
from notify.directory.waiting import check_needs, criteria, wait_for_all, wait_for_one
from notify.directory.watch import Wanted, Watch
from notify.errors import ServiceNotFoundError
from notify.events import Subscriber
from notify.keys import SERVICES_TOPIC
from notify.server import Client, whole

__all__ = ["Directory", "End", "ServiceInfo"]

PAGE: Final = 1_000
"""At most this many services are read from an index in one round trip."""


class End(msgspec.Struct, frozen=True):
    """The last withdrawal of a service with a given name.

    Args:
        incarnation: the number of the registration that was withdrawn.
        reason, why: as in `Withdrawn`.
        event: the id of the event that announced the withdrawal on the status topic of the service.
    """

    incarnation: int
    reason: str
    why: str
    event: str


class Directory:
    """The registered services. Every method asks the server; nothing is cached.

    Args:
        client: the server, the settings and the namespace to use.
        on_watch: called with each new `Watch`; an exception that it raises goes to the caller of `watch`.
    """

    def __init__(self, client: Client, *, on_watch: Callable[[Watch], object] | None = None) -> None:
        self._scripts = DirectoryScripts(client)
        self._keys = self._scripts.keys
        self._client = client
        self._on_watch = on_watch

    def lookup(self, name: str) -> ServiceInfo:
        """Return the service of that name.

        Raises:
            ServiceNotFoundError: no service has that name.
        """
        found = self._fetch([name]) if is_text(name) else []
        if not found:
            raise ServiceNotFoundError(
                f"no service named {name!r} is registered at {self._client.address}: start it (`notify services` lists those that run)"
            )
        return found[0]

    def find(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None
    ) -> ServiceInfo:
        """Return the first service, in the order of registration, that fits all of the conditions.

        Args:
            predicate: called with the description of a service; returns whether the service fits.
            provides: a capability that the service must have. Redis keeps an index, so the number of services does not matter.
            group: a group that the service must be in; this is answered from an index as well.

        Raises:
            ServiceNotFoundError: no service fits.
        """
        for service in self._search(predicate, provides, group, first_page=1):
            return service
        wanted = criteria(provides, group)
        raise ServiceNotFoundError(
            f"no service that {wanted} is registered at {self._client.address} (`notify services` lists those that are)"
        )

    def find_all(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None
    ) -> list[ServiceInfo]:
        """Return every service that fits, in the order of registration; arguments as for `find`."""
        return list(self._search(predicate, provides, group, first_page=PAGE))

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
        needs = check_needs([name, *more], provides=provides, group=group) if more or name is not None else []
        if more:
            return wait_for_all(self, needs, timeout_s=timeout_s, address=self._client.address)
        need, address = needs[0] if needs else None, self._client.address
        return wait_for_one(self, need, provides=provides, group=group, timeout_s=timeout_s, address=address)

    def __iter__(self) -> Iterator[ServiceInfo]:
        return iter(self.find_all())

    def __contains__(self, name: object) -> bool:
        with self._client.translating("searching the directory"):
            return is_text(name) and bool(self._client.sismember(self._keys.services, str(name)))

    def kill(self, name: str, *, why: str = "") -> str:
        """Withdraw a service, which any process may do, and publish its end as a fatal event on its status topic.

        From this instant no job that needs the service starts, unless the job ignores the loss. The process of the service learns
        of the kill from the answer to its next heartbeat.

        Args:
            name: the name of the service.
            why: an explanation, published with the event.

        Returns:
            The id of the status event.

        Raises:
            ServiceNotFoundError: no service has that name, or the service was withdrawn meanwhile.
        """
        service = self.lookup(name)
        event_id = self.withdraw(name, service.incarnation, reason="killed", why=why)
        if event_id is None:
            raise ServiceNotFoundError(f"the service {name!r} was withdrawn before it could be killed")
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

    def watch(self, *names: str, provides: str | None = None, group: str | None = None) -> Watch:
        """Follow registrations, suspicions and withdrawals of services.

        Args:
            names: the services to follow; without a name all services.
            provides: follow only services with this capability.
            group: follow only services in this group, while they are in it.

        Returns:
            An iterable context manager of `Available`, `Suspect` and `Withdrawn`. It begins with an `Available` for each service
            that is registered already. A watch on all services also yields `Alarm`.
        """
        wanted = Wanted(frozenset(names), provides, group)

        def find_registered() -> dict[str, int]:
            found = self._search(None, provides, group, first_page=PAGE, names=wanted.names)
            return {service.name: service.incarnation for service in found}

        watch = Watch(Subscriber(self._client, [SERVICES_TOPIC], name="watch"), find_registered, wanted)
        if self._on_watch is not None:
            self._on_watch(watch)
        return watch

    def _search(
        self,
        predicate: Callable[[ServiceInfo], bool] | None,
        provides: str | None,
        group: str | None,
        *,
        first_page: int,
        names: Collection[str] = (),
    ) -> Iterator[ServiceInfo]:
        """Yield the services that fit, in the order of registration. If ``names`` are given, only these services fit.

        An index is read in pages. The first page has ``first_page`` names, later pages have more.
        """
        if not all(part is None or is_text(part) for part in (provides, group)):
            return
        if names:
            pages = iter([list(filter(is_text, names))])
        elif provides is not None:
            pages = self._pages(self._keys.provides(provides), first_page)
        elif group is not None:
            pages = self._pages(self._keys.group(group), first_page)
        else:
            pages = iter([self._names()])
        for page in pages:
            # An index may still name a service that disappeared without being withdrawn. A successor with the same name may not
            # have the capability or group, so the description decides.
            fitting = [
                service
                for service in self._fetch(page)
                if (provides is None or provides in service.provides) and (group is None or group in service.groups)
            ]
            for service in sorted(fitting, key=lambda s: s.incarnation):
                if predicate is None or predicate(service):
                    yield service

    def _names(self) -> list[str]:
        with self._client.translating("searching the directory"):
            names: Any = self._client.smembers(self._keys.services)
        return [name.decode(errors="replace") for name in names]  # only names added by hand are not UTF-8: they have no description

    def _pages(self, index: str, page_size: int) -> Iterator[list[str]]:
        """Yield the names in an index, in the order of registration. Each page is up to ten times as long as the one before.

        A page begins after the last incarnation of the page before, so that changes between two pages neither skip nor repeat a name.
        """
        after = "-inf"
        while True:
            with self._client.translating("searching the directory"):
                rows: Any = self._client.zrangebyscore(index, after, "+inf", start=0, num=page_size, withscores=True)
            yield [name.decode(errors="replace") for name, _ in rows]
            if len(rows) < page_size:
                return
            after, page_size = f"({rows[-1][1]:.0f}", min(PAGE, page_size * 10)

    def _fetch(self, names: Iterable[str]) -> list[ServiceInfo]:
        with self._client.translating("reading the directory"), self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._keys.service(name))
            rows = pipe.execute()
        return [service for row in rows if (service := read_description(row)) is not None]
