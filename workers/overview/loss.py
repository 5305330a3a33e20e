"""What the loss of a service would do, before it happens."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import redis

from notify.directory import ENTRY_FIELDS, Target, read_entry
from notify.keys import Keys, any_provider
from notify.server import Client
from workers import rq_keys
from workers.jobs import check_need

__all__ = ["Stake", "count_needing", "preview_loss"]

CHUNK: Final = 1_000
WAITING: Final = frozenset({"queued", "deferred", "scheduled"})


class Stake(msgspec.Struct, frozen=True):
    """Jobs of one queue and one policy that need a service.

    Args:
        queue: their queue.
        on_loss: what the loss does to them: ``cancel``, ``hold``, ``drain`` or ``ignore``.
        waiting: how many wait for their turn.
        running: how many run now.
    """

    queue: str
    on_loss: str
    waiting: int
    running: int


def preview_loss(connection: redis.Redis, service: str) -> list[Stake]:
    """Count the jobs that need a service, queue by queue and policy by policy. Nothing is changed.

    Those that need a capability count if nobody but this service has it.

    Args:
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
        service: the service's name, or ``any <capability>`` for the last one that has it.

    Returns:
        Sorted by queue and policy; counted while everything goes on, so a job that starts meanwhile may count twice.

    Raises:
        JobDefinitionError: that is no name of a service.
        ServerError: the server did not answer, or refused.
    """
    service = check_need(service)
    client = Client.of(connection)
    with client.translating(f"looking for jobs that need {service!r}"):
        return _stakes(client, _lost_with(client, service))


def count_needing(connection: redis.Redis, needs: Target) -> list[Stake]:
    """Count the jobs that name this need: those that wait are what `Queue.cancel` would cancel. Result as of `preview_loss`.

    Raises:
        JobDefinitionError: it names nothing.
    """
    client = Client.of(connection)
    need = check_need(needs)
    with client.translating(f"looking for jobs that need {need!r}"):
        return _stakes(client, frozenset([need]))


def _stakes(client: Client, needs: frozenset[str]) -> list[Stake]:
    waiting: Counter[tuple[str, str]] = Counter()
    running: Counter[tuple[str, str]] = Counter()
    ids = dict.fromkeys(job_id for need in needs for job_id in _waiting(client, need))
    for job_ids in _chunks(iter(ids)):
        waiting.update((queue, policy) for status, queue, policy, _ in _described(client, job_ids) if status in WAITING)
    for job_ids in _chunks(_running(client)):
        found = (row for row in _described(client, job_ids) if row[0] == "started" and needs.intersection(row[3]))
        running.update((queue, policy) for _, queue, policy, _ in found)
    return [Stake(queue, policy, waiting[queue, policy], running[queue, policy]) for queue, policy in sorted({*waiting, *running})]


def _lost_with(client: Client, service: str) -> frozenset[str]:
    """What is lost with a service: itself, and each capability that it alone has."""
    keys = Keys(client.settings.namespace)
    values: Any = client.hmget(keys.service(service), ENTRY_FIELDS)
    capabilities = read_entry(values).provides or ()
    with client.pipeline(transaction=False) as pipe:
        for capability in capabilities:
            pipe.zcard(keys.provides(capability))
        counts = pipe.execute()
    alone = (capability for capability, count in zip(capabilities, counts, strict=True) if count == 1)
    return frozenset([service, *map(any_provider, alone)])


def _waiting(client: Client, need: str) -> Iterator[str]:
    for job_id, _ in client.zscan_iter(Keys(client.settings.namespace).needs(need), count=CHUNK):
        yield job_id.decode()


def _running(client: Client) -> Iterator[str]:
    queues: Any = client.smembers(rq_keys.QUEUES)
    for queue in queues:
        members: Any = client.zrange(rq_keys.started(rq_keys.queue_name(queue.decode())), 0, -1)
        yield from (member.decode().partition(":")[0] for member in members)


def _described(client: Client, job_ids: list[str]) -> Iterator[tuple[str, str, str, Any]]:
    """Status, queue, policy and needs of each job that is still there."""
    with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hmget(rq_keys.job(job_id), "status", "origin", "on_loss", "needs")
        rows = pipe.execute()
    for status, origin, on_loss, needs in rows:
        if status and origin:
            yield status.decode(), origin.decode(), on_loss.decode() if on_loss else "cancel", msgspec.json.decode(needs) if needs else {}


def _chunks(job_ids: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(job_ids, CHUNK)):
        yield chunk
