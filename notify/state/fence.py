"""What a write depends on: a field of a hash that still holds a value."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from notify.keys import Keys

__all__ = ["ANY", "Fence", "Fences", "registered"]

ANY: Final = "*"
"""As value: whatever it holds, as long as it is there."""


class Fence(msgspec.Struct, frozen=True):
    """One of the fences of a write, which is refused once it has fallen.

    Args:
        key: a hash.
        field: what must be in it.
        value: what that must hold; or `ANY`.
        fallen: why the write is refused otherwise, for its error.
    """

    key: str
    field: str
    value: str
    fallen: str


Fences: TypeAlias = Callable[[], tuple[Fence, ...]]
"""Gives, at each write, the fences that must stand."""


def registered(keys: Keys, service: str, incarnation: str = ANY) -> Fence:
    """Return the fence that stands while a service is registered, as that incarnation or as any."""
    return Fence(keys.service(service), "incarnation", incarnation, f"{service!r} is not registered, or is another incarnation")
