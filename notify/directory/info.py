"""The description of a service, which is the hash ``ns:service:<name>``: checks its values, makes its fields and reads it.

`own_fields` makes the fields that a service gives at its registration; the registration script adds the others.
`read_description` reads the whole hash, `read_entry` the few fields that calls, sweeps and withdrawals need.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from notify.errors import InvalidServiceError
from notify.events import is_pattern
from notify.process import this_process
from notify.server import whole
from notify.settings import MAX_TTL_S
from notify.values import is_text

__all__ = [
    "ENTRY_FIELDS",
    "End",
    "ServiceEntry",
    "ServiceInfo",
    "check_address",
    "check_metadata",
    "check_name",
    "check_ttl",
    "own_fields",
    "read_description",
    "read_entry",
    "silence",
    "to_ms",
]

MAX_NAME_BYTES: Final = 256
ENTRY_FIELDS: Final = ["incarnation", "state", "provides", "groups", "exports", "beat_ms", "ttl_ms", "standby"]
"""The fields of the hash that `read_entry` takes, in this order."""

MAX_TTL_MS: Final = round(MAX_TTL_S * 1000)

_NAMES_DECODER: Final = msgspec.json.Decoder(list[str])


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a registered service.

    Args:
        name: its unique name.
        incarnation: the number of its registration; it grows with every registration of any service.
        provides: its capabilities.
        groups: the groups it is in.
        state: ``alive``; ``suspect`` when heartbeats are missing; ``overdue`` when none came for the whole ttl, until the service is
            withdrawn or sends one. Only a caller that asks for overdue services gets them.
        flaps: how often it was suspected and recovered. A high count means that its ttl is too short, or its process too busy.
        standby: the name that it waits for under a name with a suffix; empty if it waits for none.
        host, pid: the machine and the process that it runs in.
        address: the address to reach it at; empty if it gave none.
        ttl_s: seconds without a heartbeat after which it is withdrawn.
        registered, last_beat: times of its registration and its last heartbeat by the server's clock; aware, in UTC.
        silent_s: seconds from its last heartbeat until this description was read, by the server's clock.
        metadata: the texts that it published about itself, by key.
    """

    name: str
    incarnation: int
    provides: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    state: str = "alive"
    flaps: int = 0
    standby: str = ""
    host: str = ""
    pid: int = 0
    address: str = ""
    ttl_s: float = 0.0
    registered: datetime
    last_beat: datetime
    silent_s: float = 0.0
    metadata: dict[str, str] = {}

    @property
    def is_overdue(self) -> bool:
        """Whether no heartbeat came for the whole ttl, and nobody has withdrawn the service yet."""
        return self.state == "overdue"


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a description. Each field is decoded by itself: a field that was corrupted by hand does not hide the others.

    Args:
        incarnation: the number of the registration; ``None`` if the service is not registered, or the field is corrupt.
        state: ``alive`` or ``suspect``; empty if the service is not registered.
        provides: the capabilities of the service; ``None`` if the field is corrupt.
        groups: the groups that the service is in; ``None`` if the field is corrupt.
        groups_json: the field ``groups`` as Redis holds it.
        exports: the methods that others may call; ``None`` if the field is corrupt.
        beat_ms, ttl_ms: the server's time at its last heartbeat, and its ttl; 0 if the field is corrupt, so that it is overdue.
        standby: the name that the service waits for; empty if it waits for none.
    """

    incarnation: int | None
    state: str
    provides: list[str] | None
    groups: list[str] | None
    groups_json: bytes
    exports: list[str] | None
    beat_ms: int
    ttl_ms: int
    standby: str = ""

    def is_overdue(self, now_ms: int) -> bool:
        """Return whether no heartbeat came for the whole ttl; ``now_ms`` is the server's time."""
        return _is_overdue(self.beat_ms, self.ttl_ms, now_ms)


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


def check_name(name: object, *, what: str = "a service's name") -> str:
    """Return the name if it is valid for a service, a capability or a group.

    Raises:
        InvalidServiceError: the name is not text, is empty, has more than 256 bytes, or contains a space, a control character or a
            wildcard. With a wildcard, the status topic of the service would be a pattern, and no event can be published on it.
    """
    if not isinstance(name, str) or not name:
        raise InvalidServiceError(f"{what} must be a text that is not empty, not {name!r}")
    if any(c.isspace() or not c.isprintable() for c in name) or is_pattern(name):
        raise InvalidServiceError(f"{what} cannot contain spaces, control characters, '*', '?' or '[': {name!r}")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidServiceError(
            f"{what} has at most {MAX_NAME_BYTES} bytes, but {name[:40]!r}… has {len(name.encode())}: choose a shorter one"
        )
    return name


def check_ttl(ttl_s: float) -> float:
    """Return the ttl if it is valid, else raise `InvalidServiceError`."""
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float) or not 0 < ttl_s <= MAX_TTL_S:
        raise InvalidServiceError(f"ttl_s is {ttl_s!r}: give seconds above 0 and at most {MAX_TTL_S:g} (a day)")
    return float(ttl_s)


def check_metadata(metadata: object) -> dict[str, str]:
    """Return a copy of the metadata if it is a dict of texts, else raise `InvalidServiceError`."""
    if not isinstance(metadata, dict) or not all(is_text(part) for pair in metadata.items() for part in pair):
        raise InvalidServiceError(f"metadata must be a dict with texts as keys and values, not {metadata!r}")
    return dict(metadata)


def check_address(address: object) -> str:
    """Return the address if it is valid, else raise `InvalidServiceError`."""
    if not isinstance(address, str) or not address.isprintable() or len(address.encode()) > MAX_NAME_BYTES:
        raise InvalidServiceError(
            f"an address must be a text of at most {MAX_NAME_BYTES} bytes without control characters, not {address!r}"
        )
    return address


def own_fields(*, address: str, metadata: dict[str, str], exports: Collection[str]) -> dict[str, str]:
    """Return the fields of the description that a service of this process gives at its registration; empty ones are left out."""
    me = this_process()
    fields = {"host": me.host, "pid": str(me.pid)}
    if me.space and me.started:
        fields |= {"space": me.space, "started": me.started}
    if address:
        fields["address"] = address
    if metadata:
        fields["metadata"] = msgspec.json.encode(metadata).decode()
    if exports:
        fields["exports"] = msgspec.json.encode(sorted(exports)).decode()
    return fields


def read_description(row: dict[bytes, bytes], *, now_ms: int) -> ServiceInfo | None:
    """Return the service that a hash describes; ``None`` if the hash does not exist, is incomplete, or was corrupted by hand.

    Args:
        row: the hash.
        now_ms: the server's time, read after the hash.
    """
    beat_ms, ttl_ms = whole(row.get(b"beat_ms"), 0), whole(row.get(b"ttl_ms"), 0, most=MAX_TTL_MS)
    try:
        text = {key.decode(): value.decode() for key, value in row.items()}
        return ServiceInfo(
            name=text["name"],
            incarnation=int(text["incarnation"]),
            provides=frozenset(_NAMES_DECODER.decode(text.get("provides", "[]"))),
            groups=frozenset(_NAMES_DECODER.decode(text.get("groups", "[]"))),
            state="overdue" if _is_overdue(beat_ms, ttl_ms, now_ms) else text.get("state", "alive"),
            flaps=int(text.get("flaps", "0")),
            standby=text.get("standby", ""),
            host=text.get("host", ""),
            pid=int(text.get("pid", "0")),
            address=text.get("address", ""),
            ttl_s=int(text.get("ttl_ms", "0")) / 1000,
            registered=datetime.fromtimestamp(int(text.get("registered_ms", "0")) / 1000, UTC),
            last_beat=datetime.fromtimestamp(int(text.get("beat_ms", "0")) / 1000, UTC),
            silent_s=max(0, now_ms - beat_ms) / 1000,
            metadata=msgspec.json.decode(text.get("metadata", "{}"), type=dict[str, str]),
        )
    except (KeyError, ValueError, OverflowError, RecursionError, msgspec.DecodeError):
        return None


def read_entry(values: Sequence[bytes | None]) -> ServiceEntry:
    """Return the entry that the values of `ENTRY_FIELDS` describe. The values are those that HMGET returns."""
    incarnation, state, provides, groups, exports, beat_ms, ttl_ms, standby = values
    return ServiceEntry(
        incarnation=_integer(incarnation),
        state=(state or b"").decode(errors="replace"),
        provides=_names(provides),
        groups=_names(groups),
        groups_json=groups or b"",
        exports=_names(exports),
        beat_ms=whole(beat_ms, 0),
        ttl_ms=whole(ttl_ms, 0, most=MAX_TTL_MS),
        standby=(standby or b"").decode(errors="replace"),
    )


def silence(silent_s: float, ttl_s: float) -> str:
    """Return the state of an overdue service as a part of an error message."""
    return f"registered, but silent for {silent_s:.1f} s, longer than its ttl of {ttl_s:g} s: it is not offered before its next heartbeat"


def to_ms(time: tuple[int, int]) -> int:
    """Return the answer of TIME in milliseconds."""
    seconds, microseconds = time
    return seconds * 1000 + microseconds // 1000


def _is_overdue(beat_ms: int, ttl_ms: int, now_ms: int) -> bool:
    # As in parts/presence.lua: a heartbeat far in the future was written before the clock was set back, and says nothing.
    return not -ttl_ms <= now_ms - beat_ms < ttl_ms


def _integer(value: bytes | None) -> int | None:
    number: int | None = whole(value, None)
    # The scripts compare incarnations as text: another spelling of the number, such as "+7", would never match.
    return number if str(number).encode() == value else None


def _names(value: bytes | None) -> list[str] | None:
    try:
        return _NAMES_DECODER.decode(value or b"[]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
