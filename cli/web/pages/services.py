"""The views of services: who lives, who depends on whom, and what the death of one would take with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.web.graph import Drawing, Node, drawn
from cli.web.view import Look, View
from notify import ServiceInfo, ServiceNotFoundError
from notify.history import Histogram, History, request_history, service_history
from notify.requests import offered_by
from workers.overview import HeldCount, NeedCount, held_counts, need_counts, preview_loss

__all__ = ["SERVICE", "SERVICES", "missing_in_words"]

MOST_DRAWN: Final = 14
MOST_NEEDS: Final = 500
HOUR_S: Final = 3600.0
WORDS: Final = {
    "cancel": "are cancelled, or stopped if they run",
    "hold": "are held until it is back",
    "drain": "are cancelled while they wait; those that run may finish",
    "ignore": "are not affected",
}


def build_all(look: Look) -> dict[str, Any]:
    """Read the list of services."""
    provides, group = look.query.get("provides") or None, look.query.get("group") or None
    found = list(look.bus.directory.find_all(provides=provides, group=group, overdue=True))
    needs = [need for service in found for need in (service.name, *(f"any {each}" for each in sorted(service.provides)))]
    held, needed = held_counts(look.bus.redis), need_counts(look.bus.redis, list(dict.fromkeys(needs))[:MOST_NEEDS])
    return {
        "services": found,
        "given": look.query.given("provides", "group"),
        "missing": _missing(found, held) if not (provides or group) else [],
        "graph_of": _graph(found, needed, held),
        "ages": {service.name: (service.last_beat - service.registered).total_seconds() + service.silent_s for service in found},
    }


def build_one(look: Look) -> dict[str, Any]:
    """Read one service, and what its death would do."""
    bus, name = look.bus, look.names["name"]
    service = bus.directory.lookup(name, overdue=True, default=None)
    end = bus.directory.last_end(name)
    if service is None and end is None:
        raise ServiceNotFoundError(f"no service {name!r} is registered, and none was within a day")
    history = look.history.read(since_s=HOUR_S)
    return {
        "name": name,
        "service": service,
        "hour": _hour(history, name),
        "end": end,
        "stakes": preview_loss(bus.redis, name),
        "words": WORDS,
        "offered": offered_by(bus.redis, name),
        "stored": bus.state(name).snapshot(),
        "title": f"Service {name}",
    }


def _hour(history: History, name: str) -> dict[str, Any]:
    """Return what a service went through, and what it served."""
    requests, lives = request_history(history, service=name), service_history(history, service=name)
    took = sum((point.took for point in requests), Histogram())
    ends = Counter[str]()
    for point in lives:
        ends.update(point.withdrawn)
    return {
        "answered": sum(point.answered for point in requests),
        "failed": sum(point.failed for point in requests),
        "median_s": took.percentile_s(50),
        "slow_s": took.percentile_s(95),
        "registered": sum(point.registered for point in lives),
        "suspected": sum(point.suspected for point in lives),
        "ends": dict(sorted(ends.items())),
    }


def missing_in_words(need: str, jobs: int) -> str:
    """Say that a service, or every one with a capability, is not there although jobs wait for it."""
    name = f"No service with capability {need.removeprefix('any ')} is there" if need.startswith("any ") else f"{need} is not there"
    return f"{name}, and {jobs:,} {'jobs wait' if jobs != 1 else 'job waits'} for it."


def _missing(found: Sequence[ServiceInfo], held: Sequence[HeldCount]) -> list[tuple[str, str]]:
    """Return the needs that nobody meets although jobs are held for them, each with words that say so."""
    there = {name for service in found for name in (service.name, *(f"any {each}" for each in service.provides))}
    counts: dict[str, int] = {}
    for count in held:
        if count.need not in there:
            counts[count.need] = counts.get(count.need, 0) + count.jobs
    return [(need, missing_in_words(need, jobs)) for need, jobs in sorted(counts.items(), key=lambda item: -item[1])]


def _graph(found: Sequence[ServiceInfo], needed: Sequence[NeedCount], held: Sequence[HeldCount]) -> Drawing | None:
    """Return who depends on whom: on the left queues whose jobs need something, on the right the services."""
    by_name: Mapping[str, ServiceInfo] = {service.name: service for service in found}
    edges, queues, targets = list[tuple[str, str]](), dict[str, Node](), dict[str, Node]()
    pairs = [(queue, count.need) for count in needed for queue in count.queues]
    for queue, need in [*pairs, *((count.queue, count.need) for count in held)]:
        capability = need.removeprefix("any ") if need.startswith("any ") else None
        providers = [service for service in found if capability in service.provides] if capability else []
        names = [service.name for service in providers] or [need]
        queues.setdefault(queue, Node(f"queue {queue}", f"queue {queue}", "", "/jobs", {"queue": queue}))
        for name in names:
            known = by_name.get(name)
            path = f"/service/{name}" if known else ""
            targets.setdefault(name, Node(name, name, known.state if known else "gone", path))
            edges.append((f"queue {queue}", name))
    if not edges:
        return None
    return drawn([list(queues.values())[:MOST_DRAWN], list(targets.values())[:MOST_DRAWN]], list(dict.fromkeys(edges)))


SERVICES: Final = View("services", "/services", "Services", "services", build_all, ("provides", "group"))
SERVICE: Final = View("services", "/service/{name:path}", "Service", "service", build_one)
