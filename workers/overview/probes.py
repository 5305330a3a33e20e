"""The answers to the question whether a worker or a service is well, for probes of a supervisor."""

from collections.abc import Sequence
from typing import Any

import redis

from notify.bus import Bus
from notify.errors import ServiceNotFoundError
from notify.server import Client
from workers import rq_keys

__all__ = ["leases_missing", "service_problem", "worker_problem"]


def leases_missing(connection: redis.Redis, workers: Sequence[str]) -> list[str]:
    """Return the workers, of those with these names, that have no lease at present: they start, hang, or are dead."""
    client = Client.of(connection)
    with client.translating("looking for workers"), client.pipeline(transaction=False) as pipe:
        pipe.time()
        for worker in workers:
            pipe.zscore(client.own_keys.leases, worker)
        (seconds, microseconds), *ends = pipe.execute()
    now_ms = seconds * 1000 + microseconds / 1000
    return [worker for worker, end_ms in zip(workers, ends, strict=True) if end_ms is None or end_ms <= now_ms]


def worker_problem(connection: redis.Redis, *, name: str = "", host: str = "") -> str:
    """Return why no worker is well; empty if one is.

    Args:
        connection: ``bus.redis``.
        name: the worker's name, or the beginning of it; by default any worker.
        host: the host that it runs on; by default any.
    """
    client = Client.of(connection)
    with client.translating("looking for workers"):
        members: Any = client.zrange(client.own_keys.leases, 0, -1)
    names = [member.decode(errors="replace") for member in members]
    names = [found for found in names if found.startswith(name)]
    missing = leases_missing(client, names)
    alive = [found for found in names if found not in missing]
    if host:
        alive = [found for found in alive if _host_of(client, found) == host]
    where = f" on {host}" if host else ""
    which = f"no worker called {name!r}" if name else "no worker"
    return "" if alive else f"{which} holds a lease{where}"


def service_problem(bus: Bus, name: str) -> str:
    """Return why a service is not well; empty if it is registered, and not overdue."""
    try:
        found = bus.directory.lookup(name, overdue=True)
    except ServiceNotFoundError:
        return f"no service called {name!r} is registered"
    return f"{name} is silent for {found.silent_s:.1f} s, its ttl is {found.ttl_s:g} s" if found.is_overdue else ""


def _host_of(client: Client, worker: str) -> str:
    from_hash: Any = client.hget(rq_keys.worker(worker), "hostname")
    return from_hash.decode(errors="replace") if isinstance(from_hash, bytes) else ""
