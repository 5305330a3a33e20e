"""Checks of services, of the sweep, and of subscribers that lag."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import redis

from notify.directory import registered_services
from notify.server import whole
from notify.values import counted
from workers.overview.doctor.facts import Facts
from workers.overview.doctor.finding import Finding, error, note, ok, warning

__all__ = ["check_services", "check_subscribers", "check_sweep"]

UNSWEPT_S: Final = 10.0
"""While there are services, some monitor sweeps each second."""
BEHIND_BYTES: Final = 1024 * 1024
"""What waits in the server for a subscriber that does not read fast enough."""
BEHIND_S: Final = 60.0
"""A stored position that is so much older than the newest event of its topic lags."""


class _Position(msgspec.Struct):
    """What is read of a stored position: topic → id."""

    topics: dict[str, str]


def check_services(facts: Facts) -> Iterator[Finding]:
    """Look for services whose heartbeats are overdue. Nothing is withdrawn by this look."""
    found = registered_services(facts.client)
    overdue = [service for service in found if service.is_overdue]
    for service in overdue:
        where, silent = f"process {service.pid} on {service.host}", f"silent for {service.silent_s:.0f} s, its ttl is {service.ttl_s:g} s"
        remedy = f"look at that process; notify kill {service.name} withdraws it at once"
        yield error("services", f"{service.name} ({where}) is {silent}", remedy)
    if not overdue:
        yield ok("services", f"{counted(len(found), 'service')} registered, none is overdue" if found else "no service is registered")


def check_sweep(facts: Facts) -> Iterator[Finding]:
    """Look whether somebody looks for dead services."""
    services: Any = facts.client.scard(facts.keys.services)
    row: Any = facts.client.hmget(facts.keys.sweep, "at_ms", "alarm")
    at_ms, alarm = row
    if alarm is not None:
        remedy = "look at the network: withdrawals are held for one ttl, because so many services hardly died at once"
        yield error("sweep", "very many services are silent at once", remedy)
    if not services:
        yield ok("sweep", "no service is registered, and nobody has to sweep")
        return
    age_s = facts.clock_s - whole(at_ms, 0) / 1000
    if age_s > UNSWEPT_S:
        what = f"nobody has looked for dead services for {age_s:,.0f} s" if at_ms else "nobody has ever looked for dead services"
        yield error("sweep", what, "run notify monitor, or any service or worker: each of them sweeps")
    elif alarm is None:
        yield ok("sweep", f"the directory was swept {max(0.0, age_s):.1f} s ago")


def check_subscribers(facts: Facts) -> Iterator[Finding]:
    """Look for subscribers that lag: events wait in the server for them, or their stored position is old."""
    lagging = False
    try:
        clients: Any = facts.client.client_list(_type="pubsub")
    except redis.ResponseError:
        clients = []
        yield note("subscribers", "what waits for subscribers is not known: the server refuses CLIENT LIST", "grant +client|list")
    for client in clients:
        waiting = int(client.get("omem", 0))
        if waiting > BEHIND_BYTES:
            lagging = True
            name = str(client.get("name") or client.get("addr")).partition("|")[0].removeprefix("notify:")
            what = f"subscriber {name} does not read fast enough: {waiting / BEHIND_BYTES:.1f} MiB wait for it"
            yield warning("subscribers", what, "have it do less for each event, or give the work to jobs; the server cuts it off at 32 MiB")
    for name, topic, behind_s in _old_positions(facts):
        lagging = True
        what = f"the position {name!r} is {behind_s:,.0f} s behind in topic {topic!r}"
        yield warning("subscribers", what, "look whether its flow runs; events that leave the log before it has taken them are lost to it")
    if not lagging and clients != []:
        yield ok("subscribers", f"{len(clients)} connections are subscribed, none lags")
    elif not lagging:
        yield ok("subscribers", "no subscriber lags")


def _old_positions(facts: Facts) -> Iterator[tuple[str, str, float]]:
    """Yield name, topic, and seconds behind the newest event, of each stored position that lags."""
    prefix = facts.keys.position("")
    for key in [name for name in facts.names if name.startswith(prefix)]:
        try:
            position = msgspec.json.decode(facts.client.get(key) or b"", type=_Position)
        except (redis.ResponseError, msgspec.DecodeError, UnicodeDecodeError):
            continue  # another program wrote it
        for topic, taken in position.topics.items():
            try:
                last: Any = facts.client.hget(facts.keys.topic(topic), "last")
            except redis.ResponseError:
                continue
            behind_s = (_ms(last) - _ms(taken.encode())) / 1000
            if behind_s > BEHIND_S:
                yield key.removeprefix(prefix), topic, behind_s


def _ms(event_id: bytes | None) -> int:
    """Return the time in an id of an event."""
    return whole((event_id or b"").partition(b"-")[0], 0)
