"""Pauses a queue: its jobs stay where they are until somebody resumes it. Jobs that run go on."""

from typing import Any, Final

import redis

from notify.server import Client
from workers import rq_keys
from workers.errors import QueueNotFoundError
from workers.scripts import JobScripts

__all__ = ["pause_queue", "paused_queues", "resume_queue"]

KEPT_MS: Final = 30 * 24 * 3_600_000


def pause_queue(connection: redis.Redis, queue: str) -> bool:
    """Let no worker take another job from a queue, on any host, until `resume_queue`. Jobs can be enqueued meanwhile, and running ones end.

    Workers of plain RQ do not know this. A pause is forgotten 30 days after the last worker has looked at the queue.

    Args:
        connection: ``bus.redis``.
        queue: the name of the queue.

    Returns:
        False if it is paused already.

    Raises:
        QueueNotFoundError: no job was ever put on that queue.
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    with client.translating(f"pausing queue {queue!r}"):
        if not client.sismember(rq_keys.QUEUES, rq_keys.queue(queue)):
            raise QueueNotFoundError(f"no queue {queue!r} at {client.address}: `notify queues` lists them")
        with client.pipeline() as pipe:
            pipe.sadd(client.own_keys.paused, queue)
            pipe.pexpire(client.own_keys.paused, KEPT_MS)
            added, _ = pipe.execute()
    return bool(added)


def resume_queue(connection: redis.Redis, queue: str) -> bool:
    """End the pause of a queue. Returns False if it is not paused. Raises `ServerError` if Redis did not answer, or refused."""
    client = Client.of(connection)
    with client.translating(f"resuming queue {queue!r}"):
        removed: Any = client.srem(client.own_keys.paused, queue)
        if removed:
            JobScripts(client).wake_idle([queue], is_leaving=False)
    return bool(removed)


def paused_queues(connection: redis.Redis) -> list[str]:
    """Return the names of the paused queues, sorted. Raises `ServerError` if Redis did not answer, or refused."""
    client = Client.of(connection)
    with client.translating("reading which queues are paused"):
        members: Any = client.smembers(client.own_keys.paused)
    return sorted(member.decode(errors="replace") for member in members)
