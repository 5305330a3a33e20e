"""The examination: all checks, one after the other."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from notify.bus import Bus
from notify.errors import ServerRefusedError
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, note
from workers.overview.doctor.jobs import check_cron, check_leader, check_queues, check_runs
from workers.overview.doctor.lifetimes import check_lifetimes
from workers.overview.doctor.rights import check_rights
from workers.overview.doctor.server import (
    check_clients,
    check_clock,
    check_eviction,
    check_latency,
    check_memory,
    check_persistence,
    check_role,
)
from workers.overview.doctor.services import check_services, check_subscribers, check_sweep
from workers.overview.doctor.versions import check_libraries
from workers.overview.doctor.vulnerabilities import check_version

__all__ = ["examine"]

Check: TypeAlias = Callable[[Facts], Iterator[Finding]]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("latency", check_latency),
    ("version", check_version),
    ("role", check_role),
    ("persistence", check_persistence),
    ("eviction", check_eviction),
    ("memory", check_memory),
    ("connections", check_clients),
    ("clock", check_clock),
    ("rights", check_rights),
    ("lifetimes", check_lifetimes),
    ("services", check_services),
    ("sweep", check_sweep),
    ("subscribers", check_subscribers),
    ("leader", check_leader),
    ("runs", check_runs),
    ("queues", check_queues),
    ("cron", check_cron),
    ("libraries", check_libraries),
)


def examine(bus: Bus) -> Iterator[Finding]:
    """Look at the server, the user, the services, the jobs and the workers of a namespace. Nothing is changed.

    Args:
        bus: the bus.

    Yields:
        At least one finding for each thing that was looked at, as soon as it was.

    Raises:
        ServerUnreachableError: the server stopped answering.
    """
    facts = Facts(bus)
    for name, check in CHECKS:
        try:
            with facts.client.translating(f"looking at {name}"):
                yield from list(check(facts))
        except ServerRefusedError as refusal:
            yield note(name, f"not known: {refusal}", "grant the right that is missing, see rights")
