"""Recurring jobs by hand: pause one, resume it, and run it now."""

from typing import Any, Final

import msgspec
import redis

from notify.server import Client
from workers.errors import JobDefinitionError, JobNotFoundError
from workers.jobs import Job, read_cron_job
from workers.queue import Queue

__all__ = ["pause_cron", "resume_cron", "run_cron"]

KEPT_MS: Final = 7 * 24 * 3_600_000


def pause_cron(connection: redis.Redis, function: str) -> bool:
    """Let a recurring job not be enqueued until `resume_cron`. Times that pass meanwhile are left out.

    Args:
        connection: ``bus.redis``.
        function: the dotted path of its function.

    Returns:
        False if it is paused already.

    Raises:
        JobNotFoundError: there is no such recurring job.
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    _specification(client, function)
    with client.translating(f"pausing the recurring job {function!r}"), client.pipeline() as pipe:
        pipe.sadd(client.own_keys.cron_paused, function)
        pipe.pexpire(client.own_keys.cron_paused, KEPT_MS)
        added, _ = pipe.execute()
    return bool(added)


def resume_cron(connection: redis.Redis, function: str) -> bool:
    """Let a recurring job be enqueued again, at its next time. Returns False if it is not paused. Errors as for `pause_cron`."""
    client = Client.of(connection)
    _specification(client, function)
    with client.translating(f"resuming the recurring job {function!r}"):
        return bool(client.srem(client.own_keys.cron_paused, function))


def run_cron(connection: redis.Redis, function: str) -> Job:
    """Enqueue a recurring job now, besides its times, also if it is paused. Returns the job. Errors as for `pause_cron`.

    It is enqueued also if no worker listens to its queue: then it waits for one.
    """
    client = Client.of(connection)
    try:
        cron_job = read_cron_job(_specification(client, function))
    except (JobDefinitionError, ValueError, msgspec.DecodeError) as exc:
        raise JobNotFoundError(f"the recurring job {function!r} cannot be read: a worker that loads its module writes it anew") from exc
    queue = Queue(cron_job.queue, connection=client)
    job = queue.create_job(function)
    job.accept(cron_job.requirements)
    queue.enqueue_job(job)
    return job


def _specification(client: Client, function: str) -> bytes:
    with client.translating(f"looking for the recurring job {function!r}"):
        found: Any = client.hget(client.own_keys.cron, function)
    if found is None:
        raise JobNotFoundError(f"there is no recurring job {function!r}: `notify cron` lists them")
    return bytes(found)
