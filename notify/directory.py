"""The directory: who is there, and what they provide."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import msgspec

from notify.errors import InvalidServiceError, ServiceNotFoundError
from notify.event import Failure
from notify.keys import SERVICES_TOPIC
from notify.scripts import Scripts
from notify.settings import MAX_TTL_S
from notify.strict_json import Json
from notify.subscriber import Subscriber
from notify.topic import is_pattern
from notify.watch import Watch

__all__ = ["Directory", "End", "ServiceInfo", "check_metadata", "check_name", "check_ttl"]

MAX_NAME_BYTES: Final = 256


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the directory knows of a service.

    Args:
        name: its unique name.
        incarnation: grows with every registration; tells a service that came back from the one that went.
        provides: its capabilities.
        state: ``alive``, or ``suspect`` when heartbeats are missing.
        host, pid: where it runs.
        ttl_s: seconds of silence after which it is withdrawn.
        registered, last_beat: by the server's clock.
        metadata: what it says of itself.
    """

    name: str
    incarnation: int
    provides: frozenset[str] = frozenset()
    state: str = "alive"
    host: str = ""
    pid: int = 0
    ttl_s: float = 0.0
    registered: datetime
    last_beat: datetime
    metadata: dict[str, str] = {}


class End(msgspec.Struct, frozen=True):
    """The last withdrawal of a name: which incarnation, ``reason`` and ``why`` as in `Withdrawn`, and the status event that told it."""

    incarnation: int
    reason: str
    why: str
    event: str


class Directory:
    """Finds services. All answers come from the server at the moment of asking."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._keys = scripts.keys
        self._client = scripts.client

    def lookup(self, name: str) -> ServiceInfo:
        """Return the service of that name.

        Raises:
            ServiceNotFoundError: there is none.
        """
        found = self._fetch([name]) if _is_text(name) else []
        if not found:
            raise ServiceNotFoundError(
                f"no service named {name!r} is registered at {self._client.address}: is it running? (notify services lists who is)"
            )
        return found[0]

    def find(self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None) -> ServiceInfo:
        """Return the first service, in the order of registration, that fits.

        Args:
            predicate: any condition on its description.
            provides: a capability it must have; answered from an index, whatever the number of services.

        Raises:
            ServiceNotFoundError: none fits.
        """
        for service in self.find_all(predicate, provides=provides):
            return service
        wanted = f"that provides {provides!r}" if provides is not None else "that fits"
        raise ServiceNotFoundError(f"no service {wanted} is registered at {self._client.address} (notify services lists who is)")

    def find_all(self, predicate: Callable[[ServiceInfo], bool] | None = None, *, provides: str | None = None) -> list[ServiceInfo]:
        """Return every service that fits, in the order of registration; arguments as for `find`."""
        if provides is not None and not _is_text(provides):
            return []
        with self._client.translating("searching the directory"):
            names: Any = (
                self._client.smembers(self._keys.services)
                if provides is None
                else self._client.zrange(self._keys.provides(provides), 0, -1)
            )
        services = self._fetch([name.decode() for name in names])
        # The index may hold a name whose owner vanished without a word; the description of a successor decides.
        fitting = (s for s in services if (provides is None or provides in s.provides) and (predicate is None or predicate(s)))
        return sorted(fitting, key=lambda s: s.incarnation)

    def wait_for(self, name: str | None = None, *, provides: str | None = None, timeout_s: float | None = None) -> ServiceInfo:
        """Return the service of that name, or else the first one with that capability, as soon as there is one.

        Args:
            name: its name.
            provides: without a name, a capability; without both, anybody will do.
            timeout_s: seconds to wait; ``None`` waits for ever.

        Raises:
            ServiceNotFoundError: none came in time.
            ServerError: the server did not answer, or refused.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        with self.watch(*([] if name is None else [name])) as changes:
            while True:
                try:
                    return self.find(provides=provides) if name is None else self.lookup(name)
                except ServiceNotFoundError as exc:
                    left_s = None if deadline is None else max(0.0, deadline - monotonic())
                    if changes.get(left_s) is None and deadline is not None and monotonic() >= deadline:
                        raise ServiceNotFoundError(f"{exc}; waited {timeout_s:g} s") from None

    def __iter__(self) -> Iterator[ServiceInfo]:
        return iter(self.find_all())

    def __contains__(self, name: object) -> bool:
        with self._client.translating("searching the directory"):
            return _is_text(name) and bool(self._client.sismember(self._keys.services, str(name)))

    def kill(self, name: str, *, why: str = "") -> str:
        """Withdraw a service whether it agrees or not, and publish its end as a fatal status event.

        Jobs that need it do not start from this instant. Its process is told with its next heartbeat.

        Returns:
            The id of the status event.

        Raises:
            ServiceNotFoundError: there is no such service, or it went meanwhile.
        """
        service = self.lookup(name)
        event_id = self.withdraw(name, service.incarnation, provides=service.provides, reason="killed", why=why)
        if event_id is None:
            raise ServiceNotFoundError(f"the service {name!r} went before it could be killed")
        return event_id

    def withdraw(
        self, name: str, incarnation: int, *, provides: Iterable[str], reason: str, why: str = "", only_if_due: bool = False
    ) -> str | None:
        """Take one incarnation of a service out of the directory and announce it, also on its status topic.

        Args:
            name: which service.
            incarnation: only this one is hit, never its successor.
            provides: its capabilities.
            reason: ``withdrawn``, ``killed`` or ``expired``.
            why: in words.
            only_if_due: only if its deadline has passed, by the server's clock.

        Returns:
            The id of the status event, or ``None`` if this incarnation was gone already.
        """
        change: Json = {"change": "withdrawn", "service": name, "incarnation": incarnation, "reason": reason, "why": why}
        return self._scripts.withdraw(
            name,
            incarnation,
            reason=reason,
            why=why,
            only_if_due=only_if_due,
            provides=sorted(provides),
            announcement=self._scripts.body(SERVICES_TOPIC, change),
            status=self._scripts.body(self._keys.status_topic(name), _failure(name, reason, why)),
        )

    def last_end(self, name: str) -> End | None:
        """Return how the last service of that name ended; ``None`` if none did within a day."""
        if not _is_text(name):
            return None
        with self._client.translating("reading the directory"):
            row: Any = self._client.hgetall(self._keys.tombstone(name))
        text = {key.decode(): value.decode() for key, value in row.items()}
        return End(int(text["incarnation"]), text["reason"], text["why"], text["event"]) if text else None

    def watch(self, *names: str) -> Watch:
        """Follow who comes and goes.

        Args:
            names: the services to follow; none means all.

        Returns:
            An iterable context manager of `Available`, `Suspect` and `Withdrawn`; who is there already comes first.
        """
        wanted = frozenset(names)

        def present() -> dict[str, int]:
            return {service.name: service.incarnation for service in self if not wanted or service.name in wanted}

        return Watch(Subscriber(self._client, [SERVICES_TOPIC], name="watch"), present, wanted)

    def _fetch(self, names: Iterable[str]) -> list[ServiceInfo]:
        with self._client.translating("reading the directory"), self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._keys.service(name))
            rows = pipe.execute()
        return [service for row in rows if (service := _read(row)) is not None]


def check_name(name: object, *, what: str = "a service's name") -> str:
    """Return the name if a service, or a capability, can be called that.

    Raises:
        InvalidServiceError: it is no text, empty, over 256 bytes, or holds a space, a control character or what makes a
            topic a pattern: nobody could subscribe to its status.
    """
    if not isinstance(name, str) or not name:
        raise InvalidServiceError(f"{what} is text that is not empty, not {name!r}")
    if any(c.isspace() or not c.isprintable() for c in name) or is_pattern(name):
        raise InvalidServiceError(f"{what} cannot hold spaces, control characters, '*', '?' or '[': {name!r}")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidServiceError(f"{what} has at most {MAX_NAME_BYTES} bytes, {name[:40]!r}… has {len(name.encode())}")
    return name


def check_ttl(ttl_s: float) -> float:
    """Return the ttl if a service can have it, else raise `InvalidServiceError`."""
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not 0 < ttl_s <= MAX_TTL_S:
        raise InvalidServiceError(f"ttl_s is {ttl_s!r}: give seconds above 0 and at most {MAX_TTL_S:g} (a day)")
    return float(ttl_s)


def check_metadata(metadata: object) -> dict[str, str]:
    """Return a copy of the metadata if a service can say that of itself, else raise `InvalidServiceError`."""
    if not isinstance(metadata, dict) or not all(_is_text(part) for pair in metadata.items() for part in pair):
        raise InvalidServiceError(f"metadata are texts named by texts, not {metadata!r}")
    return dict(metadata)


def _is_text(value: object) -> bool:
    """Whether it can be part of a key at all."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _read(row: dict[bytes, bytes]) -> ServiceInfo | None:
    """The service that a hash describes; ``None`` if it is none of ours, was spoilt by hand, or is on its way out."""
    try:
        text = {key.decode(): value.decode() for key, value in row.items()}
        return ServiceInfo(
            name=text["name"],
            incarnation=int(text["incarnation"]),
            provides=frozenset(msgspec.json.decode(text.get("provides", "[]"), type=list[str])),
            state=text.get("state", "alive"),
            host=text.get("host", ""),
            pid=int(text.get("pid", "0")),
            ttl_s=int(text.get("ttl_ms", "0")) / 1000,
            registered=datetime.fromtimestamp(int(text.get("registered_ms", "0")) / 1000, UTC),
            last_beat=datetime.fromtimestamp(int(text.get("beat_ms", "0")) / 1000, UTC),
            metadata=msgspec.json.decode(text.get("metadata", "{}"), type=dict[str, str]),
        )
    except (KeyError, ValueError, OverflowError, msgspec.DecodeError):
        return None


def _failure(name: str, reason: str, why: str) -> Failure:
    """The end of a service as its status topic tells it, for example ``StorageKilledError: storage killed``."""
    label = "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
    return Failure(f"{label}{reason.capitalize()}Error", f"{name} {reason}" + (f": {why}" if why else ""), fatal=True)
