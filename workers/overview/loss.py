"""The preview of a loss: counts the jobs that require a service, by the effect that its withdrawal would have on them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import redis

from notify.directory import ENTRY_FIELDS, Directory, Target, read_entry
from notify.keys import any_provider
from notify.server import Client
from workers import rq_keys
from workers.jobs import check_need, read_needs
from workers.overview.paging import chunked, ids_needing, running_ids

__all__ = ["Stake", "count_needing", "preview_loss"]

CHUNK: Final = 1_000
WAITING: Final = frozenset({"queued", "deferred", "scheduled", "ready_to_enqueue", "rate_limited"})


class Stake(msgspec.Struct, frozen=True):
    """The jobs of one queue and one policy that require a service.

    Args:
        queue: the queue of the jobs.
        on_loss: the effect of the loss: ``cancel``, ``hold``, ``drain`` or ``ignore``.
        waiting: the number of waiting jobs.
        running: the number of running jobs.
    """

    queue: str
    on_loss: str
    waiting: int
    running: int


def preview_loss(connection: redis.Redis, service: str) -> list[Stake]:
    """Count the jobs that require a service, by queue and policy. Nothing is changed.

    A job that requires a capability of the service counts if no other service has that capability.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        service: the service's name, or ``any <capability>`` for the last service that has it.

    Returns:
        The counts, sorted by queue and policy. A job that starts while they are taken may count twice.

    Raises:
        JobDefinitionError: ``service`` is not the name of a service.
        ServerError: Redis did not answer, or refused.
    """
    service = check_need(service)
    client = Client.of(connection)
    with client.translating(f"looking for jobs that need {service!r}"):
        return _stakes(client, _lost_with(client, service))


def count_needing(connection: redis.Redis, needs: Target) -> list[Stake]:
    """Count the jobs that name a service, or a capability, as a need. `Queue.cancel` would cancel the waiting ones.

    Unlike `preview_loss` it does not count the jobs that require a capability of the service. It returns the counts in the same form.

    Raises:
        JobDefinitionError: ``needs`` names no service or capability.
    """
    client = Client.of(connection)
    need = check_need(needs)
    with client.translating(f"looking for jobs that need {need!r}"):
        return _stakes(client, frozenset([need]))


def _stakes(client: Client, needs: frozenset[str]) -> list[Stake]:
    waiting: Counter[tuple[str, str]] = Counter()
    running: Counter[tuple[str, str]] = Counter()
    ids = dict.fromkeys(job_id for need in needs for job_id in ids_needing(client, need, size=CHUNK))
    for job_ids in chunked(ids, CHUNK):
        waiting.update((queue, policy) for status, queue, policy, _ in _read_rows(client, job_ids) if status in WAITING)
    for job_ids in chunked(running_ids(client), CHUNK):
        found = (row for row in _read_rows(client, job_ids) if row[0] == "started" and needs.intersection(row[3]))
        running.update((queue, policy) for _, queue, policy, _ in found)
    return [Stake(queue, policy, waiting[queue, policy], running[queue, policy]) for queue, policy in sorted({*waiting, *running})]


def _lost_with(client: Client, service: str) -> frozenset[str]:
    """Return the needs that are lost with a service: its name, and each capability that no other service has."""
    keys = client.own_keys
    values: Any = client.hmget(keys.service(service), ENTRY_FIELDS)
    capabilities = read_entry(values).provides or ()
    directory = Directory(client)  # which finds no overdue service
    only_here = [name for name in capabilities if all(found.name == service for found in directory.find_all(provides=name))]
    return frozenset([service, *map(any_provider, only_here)])


def _read_rows(client: Client, job_ids: list[str]) -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """Yield status, queue, policy and needs of each job that still exists."""
    with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hmget(rq_keys.job(job_id), "status", "origin", "on_loss", "needs")
        rows = pipe.execute(raise_on_error=False)
    for row in rows:
        if isinstance(row, Exception) and not isinstance(row, redis.ResponseError):
            raise row
        if isinstance(row, Exception) or not row[0] or not row[1]:
            continue  # no hash of a job
        status, origin, on_loss = (value.decode(errors="replace") if value else "cancel" for value in row[:3])
        yield status, origin, on_loss, _needs_of(row[3])


def _needs_of(needs: bytes | None) -> frozenset[str]:
    try:
        return frozenset(read_needs({b"needs": needs or b""}))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return frozenset()  # another program wrote the job, and no worker will run it
