"""What a service says of itself: which of it can be said, and how it is read back."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from notify.errors import InvalidServiceError
from notify.events import is_pattern
from notify.settings import MAX_TTL_S

__all__ = ["ServiceInfo", "check_address", "check_metadata", "check_name", "check_ttl", "is_text", "read_description"]

MAX_NAME_BYTES: Final = 256


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the directory knows of a service.

    Args:
        name: its unique name.
        incarnation: grows with every registration; tells a service that came back from the one that went.
        provides: its capabilities.
        groups: the groups it is in.
        state: ``alive``, or ``suspect`` when heartbeats are missing.
        flaps: how often it was suspected and came back; many mean that its ttl is too short, or its process too busy.
        host, pid: where it runs.
        address: where it can be reached, if it says so.
        ttl_s: seconds of silence after which it is withdrawn.
        registered, last_beat: by the server's clock.
        metadata: what it says of itself.
    """

    name: str
    incarnation: int
    provides: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    state: str = "alive"
    flaps: int = 0
    host: str = ""
    pid: int = 0
    address: str = ""
    ttl_s: float = 0.0
    registered: datetime
    last_beat: datetime
    metadata: dict[str, str] = {}


def check_name(name: object, *, what: str = "a service's name") -> str:
    """Return the name if a service, a capability or a group can be called that.

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
    if not isinstance(metadata, dict) or not all(is_text(part) for pair in metadata.items() for part in pair):
        raise InvalidServiceError(f"metadata are texts named by texts, not {metadata!r}")
    return dict(metadata)


def check_address(address: object) -> str:
    """Return the address if a service can say that of itself, else raise `InvalidServiceError`."""
    if not isinstance(address, str) or not address.isprintable() or len(address.encode()) > MAX_NAME_BYTES:
        raise InvalidServiceError(f"an address is text of at most {MAX_NAME_BYTES} bytes without control characters, not {address!r}")
    return address


def is_text(value: object) -> bool:
    """Whether it can be part of a key at all."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def read_description(row: dict[bytes, bytes]) -> ServiceInfo | None:
    """The service that a hash describes; ``None`` if it is none of ours, was spoilt by hand, or is on its way out."""
    try:
        text = {key.decode(): value.decode() for key, value in row.items()}
        return ServiceInfo(
            name=text["name"],
            incarnation=int(text["incarnation"]),
            provides=frozenset(msgspec.json.decode(text.get("provides", "[]"), type=list[str])),
            groups=frozenset(msgspec.json.decode(text.get("groups", "[]"), type=list[str])),
            state=text.get("state", "alive"),
            flaps=int(text.get("flaps", "0")),
            host=text.get("host", ""),
            pid=int(text.get("pid", "0")),
            address=text.get("address", ""),
            ttl_s=int(text.get("ttl_ms", "0")) / 1000,
            registered=datetime.fromtimestamp(int(text.get("registered_ms", "0")) / 1000, UTC),
            last_beat=datetime.fromtimestamp(int(text.get("beat_ms", "0")) / 1000, UTC),
            metadata=msgspec.json.decode(text.get("metadata", "{}"), type=dict[str, str]),
        )
    except (KeyError, ValueError, OverflowError, msgspec.DecodeError):
        return None
