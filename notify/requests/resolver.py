"""Resolver: finds the registered services that can answer a request, and caches them until the directory changes."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from notify.directory import ENTRY_FIELDS, Provider, Target, check_name, read_entry
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
    """Finds the endpoints for a target. The endpoints are cached until `forget` is called."""

    def __init__(self, client: Client) -> None:
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
            ServiceNotFoundError: no such service is registered.
            UnknownMethodError: no such service exports the method.
            ServerError: the server did not answer, or refused.
        """
        registered = self._cache.get(target, ()) if isinstance(target, str | Provider) else ()
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
                names = [name.decode() for name in members]
            else:
                capability, names = None, [check_name(target)]
            with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hmget(self._keys.service(name), ENTRY_FIELDS)
                rows = pipe.execute()
        endpoints = (_endpoint(name, row, capability) for name, row in zip(names, rows, strict=True))
        return [endpoint for endpoint in endpoints if endpoint is not None]

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


def _endpoint(name: str, row: list[bytes | None], capability: str | None) -> Endpoint | None:
    """Return the endpoint that the fields of a description give.

    Returns ``None`` if the service is not registered, does not have the capability, or its description is corrupt.
    """
    entry = read_entry(row)
    if entry.incarnation is None or entry.exports is None or (capability is not None and capability not in (entry.provides or ())):
        return None
    return Endpoint(name, entry.incarnation, frozenset(entry.exports), entry.state == "suspect")
