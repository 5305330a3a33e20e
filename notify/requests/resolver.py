"""Who can be called, and for what: looked up once, and again when somebody has come or gone."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from notify.directory import ENTRY_FIELDS, Provider, Target, check_name, read_entry
from notify.errors import ServiceNotFoundError, UnknownMethodError
from notify.keys import Keys
from notify.server import Client

__all__ = ["Endpoint", "Resolver"]


class Endpoint(msgspec.Struct, frozen=True):
    """A service that is registered, and the methods that it exports."""

    service: str
    incarnation: int
    methods: frozenset[str]
    is_suspect: bool


class Resolver:
    """Answers from memory until it is told to `forget`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = Keys(client.settings.namespace)
        self._known: dict[Target, Sequence[Endpoint]] = {}
        self._turns: defaultdict[Target, Iterator[int]] = defaultdict(itertools.count)
        self._changes = 0
        self._changing = threading.Lock()

    def of(self, target: Target, method: str) -> Sequence[Endpoint]:
        """Return who can be asked, in the order to try: each call begins with the next one; who is suspected comes last.

        Raises:
            InvalidServiceError: the target is no name and no capability.
            ServiceNotFoundError: nobody is there.
            UnknownMethodError: nobody there exports the method.
            ServerError: the server did not answer, or refused.
        """
        there = self._known.get(target, ()) if isinstance(target, str | Provider) else ()
        found = [offer for offer in there if method in offer.methods]
        if not found:  # or it may be that a successor has it, and that the news is on its way
            there = self._look_up(target)
            found = [offer for offer in there if method in offer.methods]
        if not found:
            raise self._refusal(target, method, there)
        alive = [offer for offer in found if not offer.is_suspect]
        suspects = [offer for offer in found if offer.is_suspect]
        with self._changing:
            turn = next(self._turns[target])
        return [*_rotated(alive, turn), *_rotated(suspects, turn)]

    def forget(self) -> None:
        """Ask the server the next time."""
        with self._changing:
            self._known.clear()
            self._changes += 1

    def _look_up(self, target: Target) -> Sequence[Endpoint]:
        changes = self._changes
        found = self._ask(target)
        with self._changing:
            if changes == self._changes:  # else somebody came or went while we looked
                self._known[target] = found
        return found

    def _ask(self, target: Target) -> Sequence[Endpoint]:
        with self._client.translating(f"looking for {target}"):
            if isinstance(target, Provider):
                capability = check_name(target.capability, what="a capability")
                rows: Any = self._client.zrange(self._keys.provides(capability), 0, -1)
                names = [name.decode() for name in rows]
            else:
                capability, names = None, [check_name(target)]
            with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hmget(self._keys.service(name), ENTRY_FIELDS)
                described = pipe.execute()
        read = (_read(name, row, capability) for name, row in zip(names, described, strict=True))
        return [offer for offer in read if offer is not None]

    def _refusal(self, target: Target, method: str, there: Sequence[Endpoint]) -> ServiceNotFoundError | UnknownMethodError:
        wanted = str(target) if isinstance(target, Provider) else f"a service named {target!r}"
        if not there:
            return ServiceNotFoundError(
                f"{wanted} is not registered at {self._client.address}: is it running? (notify services lists who is)"
            )
        exported = sorted({name for offer in there for name in offer.methods})
        known = f"it exports {', '.join(exported)}" if exported else "it exports none (bus.service takes exports=)"
        return UnknownMethodError(f"{wanted} exports no method {method!r}: {known}")


def _rotated(offers: list[Endpoint], turn: int) -> list[Endpoint]:
    first = turn % len(offers) if offers else 0
    return offers[first:] + offers[:first]


def _read(name: str, row: list[bytes | None], capability: str | None) -> Endpoint | None:
    """The offer that a service's description makes; ``None`` if it is not there, or was spoilt by hand."""
    entry = read_entry(row)
    if entry.incarnation is None or entry.exports is None or (capability is not None and capability not in (entry.provides or ())):
        return None
    return Endpoint(name, entry.incarnation, frozenset(entry.exports), entry.state == "suspect")
