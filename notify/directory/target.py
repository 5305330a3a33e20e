"""Target of a call, a wait or a job's need: a service by its name, or any provider of a capability."""

from typing import TypeAlias

import msgspec

from notify.errors import InvalidServiceError

__all__ = ["Provider", "Target", "provides"]


class Provider(msgspec.Struct, frozen=True):
    """A target that stands for any service with a capability. Made by `provides`."""

    capability: str

    def __str__(self) -> str:
        return f"a provider of {self.capability!r}"


Target: TypeAlias = str | Provider
"""The name of a service, or any provider of a capability."""


def provides(capability: str) -> Provider:
    """Return a target for any service with a capability: ``bus.call(notify.provides("multiply"), "multiply", 6, 7)``.

    Raises:
        InvalidServiceError: the capability is not a text.
    """
    if not isinstance(capability, str):
        raise InvalidServiceError(f"a capability is a text, not {capability!r}")
    return Provider(capability)
