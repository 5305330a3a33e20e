"""Waiting until services are registered: one service, or several that are needed at the same time."""

from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol

from notify.directory.info import ServiceInfo
from notify.directory.target import Provider, Target
from notify.directory.watch import Available, Watch
from notify.errors import InvalidServiceError, ServiceNotFoundError

__all__ = ["check_conditions", "check_needs", "criteria", "wait_for_all", "wait_for_one"]


class Lookup(Protocol):
    """The methods of `Directory` that waiting uses."""

    def lookup(self, name: str) -> ServiceInfo:
        """Return the service with that name, or raise `ServiceNotFoundError`."""

    def find(self, *, provides: str | None = None) -> ServiceInfo:
        """Return a service with that capability, or raise `ServiceNotFoundError`."""

    def watch(self, *names: str, provides: str | None = None, group: str | None = None) -> Watch:
        """Return a watch on the services that fit."""


def check_conditions(*names: object, provides: object, group: object) -> None:
    """Raise `InvalidServiceError` if a name is not text, or a condition is neither text nor ``None``."""
    wrong = [f"a service's name must be a text, not {name!r}" for name in names if not isinstance(name, str)]
    conditions = (("provides", "a capability", provides), ("group", "a group", group))
    wrong += [f"{how}= takes {what}, a text, not {v!r}" for how, what, v in conditions if not (v is None or isinstance(v, str))]
    if wrong:
        raise InvalidServiceError(wrong[0])


def check_needs(needs: Sequence[object], *, provides: str | None, group: str | None) -> list[Target]:
    """Return the needs if they are valid arguments of `Directory.wait_for`.

    Raises:
        InvalidServiceError: a need is neither a name nor a `Provider`, ``provides`` or ``group`` is given with several needs, or
            ``provides`` is given with a `Provider`.
    """
    for need in needs:
        if not isinstance(need, str | Provider):
            raise InvalidServiceError(f"a need is the name of a service or notify.provides(capability), not {need!r}")
    if len(needs) > 1 and (provides is not None or group is not None):
        raise InvalidServiceError("provides= and group= do not go with several needs: use notify.provides(capability) as a need")
    if provides is not None and isinstance(needs[0], Provider):
        raise InvalidServiceError(f"provides= does not go with {needs[0]} as the need: give only one of the two")
    return [need for need in needs if isinstance(need, str | Provider)]


def wait_for_one(
    directory: Lookup, need: Target | None, *, provides: str | None, group: str | None, timeout_s: float | None, address: str
) -> ServiceInfo:
    """Wait until a service that fits is registered, and return it.

    Args:
        directory: the directory to search.
        need: the name of the service, or a provider of a capability; ``None``: any service.
        provides: a capability that the service must have.
        group: a group that the service must be in.
        timeout_s: seconds to wait; ``None`` waits for ever.
        address: the address of the server, for the error message.

    Raises:
        ServiceNotFoundError: no service fits when the time is over.
    """
    name = need if isinstance(need, str) else None
    if isinstance(need, Provider):
        provides = need.capability
    deadline = None if timeout_s is None else monotonic() + timeout_s
    with directory.watch(*([] if name is None else [name]), provides=provides, group=group) as changes:
        while True:
            left_s = None if deadline is None else max(0.0, deadline - monotonic())
            change = changes.get(left_s)
            if isinstance(change, Available):
                with suppress(ServiceNotFoundError):  # withdrawn between the event and this lookup
                    return directory.lookup(change.name)
            elif change is None and deadline is not None and monotonic() >= deadline:
                wanted = criteria(provides, group, name=name)
                raise ServiceNotFoundError(
                    f"no service that {wanted} was registered at {address} within {timeout_s:g} s: start it, or wait longer"
                ).about(name or "", capabilities=() if provides is None else [provides])


def wait_for_all(directory: Lookup, needs: Sequence[Target], *, timeout_s: float | None, address: str) -> list[ServiceInfo]:
    """Wait until a service for each need is registered, all at the same time, and return these services.

    Args:
        directory: the directory to search.
        needs: names of services, and providers of capabilities.
        timeout_s: seconds to wait for all services together; ``None`` waits for ever.
        address: the address of the server, for the error message.

    Raises:
        ServiceNotFoundError: a need is not met when the time is over.
    """
    deadline = None if timeout_s is None else monotonic() + timeout_s
    while True:
        # All needs are looked up again each time: the first service may be gone when the last one comes.
        found, missing = _find_each(directory, needs)
        if not missing:
            return found
        left_s = None if deadline is None else deadline - monotonic()
        if left_s is not None and left_s <= 0:
            names = ", ".join(str(need) if isinstance(need, Provider) else repr(need) for need in missing)
            raise ServiceNotFoundError(
                f"not registered at {address} within {timeout_s:g} s: {names} (`notify services` lists the services that are)"
            ).about(
                next((need for need in missing if isinstance(need, str)), ""),
                capabilities=[need.capability for need in missing if isinstance(need, Provider)],
            )
        with suppress(ServiceNotFoundError):  # the time is over: the next round raises an error that names all missing needs
            wait_for_one(directory, missing[0], provides=None, group=None, timeout_s=left_s, address=address)


def criteria(provides: str | None, group: str | None, *, name: str | None = None) -> str:
    """Return the conditions as a part of an error message: ``provides 'multiply' and is in the group 'lab'``."""
    wanted = [f"is named {name!r}"] * (name is not None) + [f"provides {provides!r}"] * (provides is not None)
    return " and ".join([*wanted, *[f"is in the group {group!r}"] * (group is not None)]) or "fits"


def _find_each(directory: Lookup, needs: Sequence[Target]) -> tuple[list[ServiceInfo], list[Target]]:
    """Return a service for each need that can be met now, and the needs that cannot."""
    found, missing = [], []
    for need in needs:
        try:
            found.append(directory.find(provides=need.capability) if isinstance(need, Provider) else directory.lookup(need))
        except ServiceNotFoundError:
            missing.append(need)
    return found, missing
