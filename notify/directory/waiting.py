"""Waiting for services that are needed together."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from notify.directory.info import ServiceInfo
from notify.directory.target import Provider, Target
from notify.errors import InvalidServiceError, ServiceNotFoundError

__all__ = ["check_needs", "meet_all"]


def check_needs(needs: Sequence[object], *, provides: str | None, group: str | None) -> list[Target]:
    """Return the needs if they can be waited for.

    Raises:
        InvalidServiceError: one is neither a name nor a `Provider`, or what restricts one service is given with several needs.
    """
    for need in needs:
        if not isinstance(need, str | Provider):
            raise InvalidServiceError(f"a need is a name, or notify.provides(capability), not {need!r}")
    several = len(needs) > 1 and (provides is not None or group is not None)
    if several or (provides is not None and isinstance(needs[0], Provider)):
        raise InvalidServiceError("provides and group say more of one service: among several needs give notify.provides(capability)")
    return [need for need in needs if isinstance(need, str | Provider)]


def meet_all(
    needs: Sequence[Target],
    *,
    find: Callable[[Target], ServiceInfo],
    wait_for: Callable[[Target, float | None], object],
    timeout_s: float | None,
    where: str,
) -> list[ServiceInfo]:
    """Return a service for each need, all there together.

    Args:
        needs: what is needed.
        find: finds a service that meets a need now, or raises `ServiceNotFoundError`.
        wait_for: does so within so many seconds; ``None`` waits for ever.
        timeout_s: seconds to wait for all.
        where: how the error calls the server.

    Raises:
        ServiceNotFoundError: one is missing still when the time is over.
    """
    deadline = None if timeout_s is None else monotonic() + timeout_s
    while True:
        # Asked for anew, all of them: one that came first may be gone when the last one comes.
        found, missing = _find_all(needs, find)
        if not missing:
            return found
        left_s = None if deadline is None else deadline - monotonic()
        if left_s is not None and left_s <= 0:
            those = " and ".join(str(need) if isinstance(need, Provider) else repr(need) for need in missing)
            raise ServiceNotFoundError(f"{those} did not come to {where} within {timeout_s:g} s (notify services lists who is there)")
        with suppress(ServiceNotFoundError):
            wait_for(missing[0], left_s)


def _find_all(needs: Sequence[Target], find: Callable[[Target], ServiceInfo]) -> tuple[list[ServiceInfo], list[Target]]:
    found, missing = [], []
    for need in needs:
        try:
            found.append(find(need))
        except ServiceNotFoundError:
            missing.append(need)
    return found, missing
