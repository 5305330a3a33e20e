"""The directory: who is there, and what they provide."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any, Final, overload

import msgspec

from notify.directory.info import ServiceInfo, is_text, read_description
from notify.directory.scripts import DirectoryScripts, Incarnation
from notify.directory.target import Provider, Target
from notify.directory.waiting import check_needs, meet_all
from notify.directory.watch import Available, Wanted, Watch
from notify.errors import ServiceNotFoundError
from notify.events import Subscriber
from notify.keys import SERVICES_TOPIC
from notify.server import Client

__all__ = ["Directory", "End", "ServiceInfo"]

PAGE: Final = 1_000
"""Services read from an index at once, at the most."""


class End(msgspec.Struct, frozen=True):
    """The last withdrawal of a name: which incarnation, ``reason`` and ``why`` as in `Withdrawn`, and the status event that told it."""

    incarnation: int
    reason: str
    why: str
    event: str


class Directory:
    """Finds services. All answers come from the server at the moment of asking."""

    def __init__(self, client: Client) -> None:
        self._scripts = DirectoryScripts(client)
        self._keys = self._scripts.keys
        self._client = client

    def lookup(self, name: str) -> ServiceInfo:
        """Return the service of that name.

        Raises:
            ServiceNotFoundError: there is none.
        """
        found = self._fetch([name]) if is_text(name) else []
        if not found:
            raise ServiceNotFoundError(
                f"no service named {name!r} is registered at {self._client.address}: is it running? (notify services lists who is)"
            )
        return found[0]

    def find(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None
    ) -> ServiceInfo:
        """Return the first service, in the order of registration, that fits.

        Args:
            predicate: any condition on its description.
            provides: a capability it must have; answered from an index, whatever the number of services.
            group: a group it must be in; answered from an index as well.

        Raises:
            ServiceNotFoundError: none fits.
        """
        for service in self._search(predicate, provides, group, at_once=1):
            return service
        which = _which(provides, group)
        raise ServiceNotFoundError(f"no service that {which} is registered at {self._client.address} (notify services lists who is)")

    def find_all(
        self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None, group: str | None = None
    ) -> list[ServiceInfo]:
        """Return every service that fits, in the order of registration; arguments as for `find`."""
        return list(self._search(predicate, provides, group, at_once=PAGE))

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
        """Return the first service that fits, as soon as there is one; of several needs, as soon as all are met, one for each.

        ``wait_for("storage", notify.provides("multiply"), timeout_s=5)`` returns two, in this order, that are there together.

        Args:
            name: its name, or `provides` for whoever has a capability; without it any will do.
            more: others that are needed as well.
            provides: a capability it must have; not with several needs.
            group: a group it must be in; not with several needs.
            timeout_s: seconds to wait for all; ``None`` waits for ever.

        Raises:
            ServiceNotFoundError: one is missing still when the time is over; the error names those that are.
            InvalidServiceError: a need is neither a name nor made by `provides`, or provides and group do not go with the needs.
            ServerError: the server did not answer, or refused.
        """
        needs = check_needs([name, *more], provides=provides, group=group) if more or name is not None else []
        if more:
            return meet_all(needs, find=self._meet, wait_for=self._wait_for_one, timeout_s=timeout_s, where=self._client.address)
        return self._wait_for_one(needs[0] if needs else None, timeout_s, provides=provides, group=group)

    def _wait_for_one(
        self, need: Target | None, timeout_s: float | None, *, provides: str | None = None, group: str | None = None
    ) -> ServiceInfo:
        name = need if isinstance(need, str) else None
        if isinstance(need, Provider):
            provides = need.capability
        deadline = None if timeout_s is None else monotonic() + timeout_s
        with self.watch(*([] if name is None else [name]), provides=provides, group=group) as changes:
            while True:
                left_s = None if deadline is None else max(0.0, deadline - monotonic())
                change = changes.get(left_s)
                if isinstance(change, Available):
                    with suppress(ServiceNotFoundError):  # it may have gone again
                        return self.lookup(change.name)
                elif change is None and deadline is not None and monotonic() >= deadline:
                    which = _which(provides, group, name=name)
                    raise ServiceNotFoundError(f"no service that {which} came to {self._client.address} within {timeout_s:g} s")

    def __iter__(self) -> Iterator[ServiceInfo]:
        return iter(self.find_all())

    def __contains__(self, name: object) -> bool:
        with self._client.translating("searching the directory"):
            return is_text(name) and bool(self._client.sismember(self._keys.services, str(name)))

    def kill(self, name: str, *, why: str = "") -> str:
        """Withdraw a service whether it agrees or not, and publish its end as a fatal status event.

        Jobs that need it do not start from this instant. Its process is told with its next heartbeat.

        Returns:
            The id of the status event.

        Raises:
            ServiceNotFoundError: there is no such service, or it went meanwhile.
        """
        service = self.lookup(name)
        event_id = self.withdraw(name, service.incarnation, reason="killed", why=why)
        if event_id is None:
            raise ServiceNotFoundError(f"the service {name!r} went before it could be killed")
        return event_id

    def withdraw(self, name: str, incarnation: int, *, reason: str, why: str = "", only_if_due: bool = False) -> str | None:
        """Take one incarnation of a service out of the directory and announce it, also on its status topic.

        Args:
            name: which service.
            incarnation: only this one is hit, never its successor.
            reason: ``withdrawn``, ``killed`` or ``expired``.
            why: in words.
            only_if_due: only if its deadline has passed, by the server's clock, and no grace holds it.

        Returns:
            The id of the status event, or ``None`` if this incarnation was gone already.
        """
        (event_id,) = self._scripts.withdraw([Incarnation(name, incarnation)], reason=reason, why=why, only_if_due=only_if_due)
        return event_id

    def last_end(self, name: str) -> End | None:
        """Return how the last service of that name ended; ``None`` if none did within a day."""
        if not is_text(name):
            return None
        with self._client.translating("reading the directory"):
            row: Any = self._client.hgetall(self._keys.tombstone(name))
        text = {key.decode(): value.decode() for key, value in row.items()}
        return End(int(text["incarnation"]), text["reason"], text["why"], text["event"]) if text else None

    def watch(self, *names: str, provides: str | None = None, group: str | None = None) -> Watch:
        """Follow who comes and goes.

        Args:
            names: the services to follow; none means all.
            provides: only those with this capability.
            group: only those in this group, while they are in it.

        Returns:
            An iterable context manager of `Available`, `Suspect` and `Withdrawn`; who is there already comes first. One
            that follows all services also yields `Alarm`.
        """
        wanted = Wanted(frozenset(names), provides, group)

        def present() -> dict[str, int]:
            found = self._search(None, provides, group, at_once=PAGE, names=wanted.names)
            return {service.name: service.incarnation for service in found}

        return Watch(Subscriber(self._client, [SERVICES_TOPIC], name="watch"), present, wanted)

    def _search(
        self,
        predicate: Callable[[ServiceInfo], bool] | None,
        provides: str | None,
        group: str | None,
        *,
        at_once: int,
        names: Collection[str] = (),
    ) -> Iterator[ServiceInfo]:
        """Those that fit, of the ``names`` if any, in the order of registration; an index is read in pages, of ``at_once`` at first."""
        if not all(part is None or is_text(part) for part in (provides, group)):
            return
        if names:
            pages = iter([list(filter(is_text, names))])
        elif provides is not None:
            pages = self._pages(self._keys.provides(provides), at_once)
        elif group is not None:
            pages = self._pages(self._keys.group(group), at_once)
        else:
            pages = iter([self._names()])
        for page in pages:
            # The index may hold a name whose owner vanished without a word; the description of a successor decides.
            fitting = [
                service
                for service in self._fetch(page)
                if (provides is None or provides in service.provides) and (group is None or group in service.groups)
            ]
            for service in sorted(fitting, key=lambda s: s.incarnation):
                if predicate is None or predicate(service):
                    yield service

    def _meet(self, need: Target) -> ServiceInfo:
        return self.find(provides=need.capability) if isinstance(need, Provider) else self.lookup(need)

    def _names(self) -> list[str]:
        with self._client.translating("searching the directory"):
            names: Any = self._client.smembers(self._keys.services)
        return [name.decode(errors="replace") for name in names]  # those put in by hand lead to no description

    def _pages(self, index: str, at_once: int) -> Iterator[list[str]]:
        """The names in an index, in the order of registration; who comes or goes meanwhile moves nobody else."""
        after = "-inf"
        while True:
            with self._client.translating("searching the directory"):
                rows: Any = self._client.zrangebyscore(index, after, "+inf", start=0, num=at_once, withscores=True)
            yield [name.decode(errors="replace") for name, _ in rows]
            if len(rows) < at_once:
                return
            after, at_once = f"({rows[-1][1]:.0f}", min(PAGE, at_once * 10)

    def _fetch(self, names: Iterable[str]) -> list[ServiceInfo]:
        with self._client.translating("reading the directory"), self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._keys.service(name))
            rows = pipe.execute()
        return [service for row in rows if (service := read_description(row)) is not None]


def _which(provides: str | None, group: str | None, *, name: str | None = None) -> str:
    """Who is looked for, for errors."""
    wanted = [f"is named {name!r}"] * (name is not None) + [f"provides {provides!r}"] * (provides is not None)
    return " and ".join([*wanted, *[f"is in the group {group!r}"] * (group is not None)]) or "fits"
