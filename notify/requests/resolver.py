"""Resolver: finds the registered services that can answer a request, and caches them until the directory changes."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from notify.directory import ENTRY_FIELDS, Provider, Target, Upkeep, check_name, read_entry, silence, to_ms
from notify.errors import ServiceNotFoundError, UnknownMethodError
from notify.server import Client

__all__ = ["Endpoint", "Resolver"]


class Endpoint(msgspec.Struct, frozen=True):
    """One incarnation of a service, and the methods that it exports."""

    service: str
    incarnation: int
    methods: frozenset[str]
    is_suspect: bool


class Resolver:
    """Finds the endpoints for a target. The endpoints are cached until `forget` is called.

    An overdue service is no endpoint. One that becomes overdue while it is cached refuses the request, and the caller then calls `forget`.
    """

    def __init__(self, client: Client, upkeep: Upkeep) -> None:
        self._upkeep = upkeep
        self._client = client
        self._keys = client.own_keys
        self._cache: dict[Target, Sequence[Endpoint]] = {}
        self._turns: defaultdict[Target, Iterator[int]] = defaultdict(itertools.count)
        self._changes = 0
        self._lock = threading.Lock()

    def resolve(self, target: Target, method: str) -> Sequence[Endpoint]:
        """Return the endpoints that export a method, in the order in which to try them.

        The providers of a capability take turns: each call begins with the next provider. Suspected services come last.

        Raises:
            InvalidServiceError: the target is neither a name nor a capability.
            ServiceNotFoundError: no such service is registered, or each one is overdue.
            UnknownMethodError: no such service exports the method.
            ServerError: the server did not answer, or refused.
        """
        name = target.capability if isinstance(target, Provider) else target
        if not isinstance(name, str):
            check_name(name, what="a capability" if isinstance(target, Provider) else "a service's name")  # raises the error
        registered = self._cache.get(target, ())
        found = [endpoint for endpoint in registered if method in endpoint.methods]
        if not found:  # a service that exports it may have registered, and its announcement may not have arrived yet
            registered = self._look_up(target)
            found = [endpoint for endpoint in registered if method in endpoint.methods]
        if not found:
            raise self._not_found(target, method, registered)
        alive = [endpoint for endpoint in found if not endpoint.is_suspect]
        suspects = [endpoint for endpoint in found if endpoint.is_suspect]
        with self._lock:
            turn = next(self._turns[target])
        return [*_rotated(alive, turn), *_rotated(suspects, turn)]

    def forget(self) -> None:
        """Clear the cache, because the directory has changed."""
        with self._lock:
            self._cache.clear()
            self._changes += 1

    def _look_up(self, target: Target) -> Sequence[Endpoint]:
        changes = self._changes
        found = self._fetch(target)
        with self._lock:
            if changes == self._changes:  # otherwise the directory changed during the look-up, and the result may be old
                self._cache[target] = found
        return found

    def _fetch(self, target: Target) -> Sequence[Endpoint]:
        with self._client.translating(f"looking for {target}"):
            if isinstance(target, Provider):
                capability = check_name(target.capability, what="a capability")
                members: Any = self._client.zrange(self._keys.provides(capability), 0, -1)
                names = [name.decode(errors="replace") for name in members]
            else:
                capability, names = None, [check_name(target)]
            with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hmget(self._keys.service(name), ENTRY_FIELDS)
                pipe.time()
                *rows, time = pipe.execute(raise_on_error=False)
                if isinstance(time, Exception):
                    raise time
            return self._there(names, rows, capability, now_ms=to_ms(time))

    def _there(self, names: Sequence[str], rows: Sequence[Any], capability: str | None, *, now_ms: int) -> Sequence[Endpoint]:
        """Return the endpoints that are there. If one is not, because it is overdue, sweep once.

        Raises:
            ServiceNotFoundError: there are endpoints, and all of them are overdue.
        """
        found: list[Endpoint] = []
        overdue: list[str] = []
        for name, row in zip(names, rows, strict=True):
            if isinstance(row, redis.ResponseError):  # not a hash: one key that was written by hand must not hide the others
                self._upkeep.warn_unreadable(self._keys.service(name))
                continue
            if isinstance(row, Exception):
                raise row
            entry = read_entry(row)
            if entry.incarnation is None or entry.exports is None or (capability is not None and capability not in (entry.provides or ())):
                continue  # not registered, without the capability, or corrupt
            if entry.is_overdue(now_ms):
                overdue.append(f"{name!r} is {silence((now_ms - entry.beat_ms) / 1000, entry.ttl_ms / 1000)}")
            else:
                found.append(Endpoint(name, entry.incarnation, frozenset(entry.exports), entry.state == "suspect"))
        if overdue:
            self._upkeep.sweep_once()
            if not found:
                raise ServiceNotFoundError(f"no service can be called at {self._client.address}: {overdue[0]}")
        return found

    def _not_found(self, target: Target, method: str, registered: Sequence[Endpoint]) -> ServiceNotFoundError | UnknownMethodError:
        wanted = str(target) if isinstance(target, Provider) else f"a service named {target!r}"
        if not registered:
            return ServiceNotFoundError(
                f"{wanted} is not registered at {self._client.address}: start it (`notify services` lists those that run)"
            )
        exported = sorted({name for endpoint in registered for name in endpoint.methods})
        known = f"it exports {', '.join(exported)}" if exported else "it exports none (bus.service takes exports=)"
        return UnknownMethodError(f"{wanted} exports no method {method!r}: {known}")


def _rotated(endpoints: list[Endpoint], turn: int) -> list[Endpoint]:
    first = turn % len(endpoints) if endpoints else 0
    return endpoints[first:] + endpoints[:first]
