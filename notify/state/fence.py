"""Fence: a condition of a write, that a field of some hash still holds a value. The script checks it with the write."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from notify.keys import Keys

__all__ = ["ANY", "Fence", "Fences", "registered"]

ANY: Final = "*"
"""The value of a fence that stands as long as its field exists."""


class Fence(msgspec.Struct, frozen=True):
    """One condition of a write. When it does not hold any more (the fence has fallen), the write is refused.

    Args:
        key: the key of a hash.
        field: the field of the hash.
        value: the value that the field must hold, or `ANY`.
        refusal: the reason for a refusal, for the error.
    """

    key: str
    field: str
    value: str
    refusal: str


Fences: TypeAlias = Callable[[], tuple[Fence, ...]]
"""Called before each write; returns the fences that must stand."""


def registered(keys: Keys, service: str, incarnation: str = ANY) -> Fence:
    """Return the fence that stands while a service is registered, as that incarnation or as any."""
    return Fence(keys.service(service), "incarnation", incarnation, f"{service!r} is not registered, or is another incarnation")
