"""Fence: a condition of a write. A field of a hash must still hold a given value; the script that writes checks that first."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from notify.keys import Keys

__all__ = ["ANY", "Fence", "Fences", "registered"]

ANY: Final = "*"
"""The value of a fence that stands as long as its field exists, whatever the field holds."""


class Fence(msgspec.Struct, frozen=True):
    """One condition of a write. While it holds, the fence stands; when it does not hold any more, the fence has fallen.

    A write is refused if one of its fences has fallen.

    Args:
        key: the key of a hash.
        field: the field of the hash.
        value: the value that the field must hold, or `ANY`.
        refusal: why a write is refused when the fence has fallen, for the error message.
        service: the name of the service that the hash describes: the fence then also falls when the service is overdue; else empty.
    """

    key: str
    field: str
    value: str
    refusal: str
    service: str = ""


Fences: TypeAlias = Callable[[], tuple[Fence, ...]]
"""A function that is called before each write and returns the fences that must stand."""


def registered(keys: Keys, service: str, incarnation: str = ANY) -> Fence:
    """Return the fence that stands while a service is registered as the given incarnation (by default any), and is not overdue."""
    refusal = f"{service!r} is not registered, or is registered as another incarnation, or sent no heartbeat for its ttl"
    return Fence(keys.service(service), "incarnation", incarnation, refusal, service)
