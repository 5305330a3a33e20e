"""Bulk cancel: cancels the waiting jobs of a queue that require a service, or that a function selects."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import redis

from notify.directory import Target
from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError, JobRefusedError, QueueNotFoundError
from workers.jobs import Job, check_need, read_jobs, short_reason
from workers.overview import chunked, read_backward
from workers.scripts import AT_ONCE, JobScripts

__all__ = ["Progress", "cancel_waiting"]


PAGE: Final = 1_000
"""How many ids one command reads."""


class Progress(msgspec.Struct, frozen=True):
    """The progress of a bulk cancel.

    Args:
        looked_at: how many jobs it has looked at so far.
        of: how many jobs it looks at in all.
        cancelled: how many jobs it has cancelled so far.
    """

    looked_at: int
    of: int
    cancelled: int


def cancel_waiting(
    connection: redis.Redis,
    queue: str,
    *,
    needs: Target | None,
    where: Callable[[Job], bool] | None,
    reason: str,
    progress: Callable[[Progress], None] | None,
) -> int:
    """Cancel waiting jobs; arguments, result and errors as for `Queue.cancel`."""
    if needs is None and where is None:
        raise JobDefinitionError(
            f"cannot cancel jobs of {queue!r} without a selection: give needs= or where=; where=lambda job: True selects all jobs"
        )
    client = Client.of(connection)
    scripts = JobScripts(client)
    need = check_need(needs) if needs is not None else None
    with client.translating(f"cancelling jobs of {queue!r}"):
        if not client.sismember(rq_keys.QUEUES, rq_keys.queue(queue)):
            raise QueueNotFoundError(f"no queue {queue!r} at {client.address}: no job was ever put on it; check its name")
        ids = _waiting(client, queue) if need is None else _read(client.zrange, scripts.keys.needs(need))
        looked_at = cancelled = 0
        for chunk in chunked(ids, AT_ONCE):
            chosen = chunk if where is None else [found.id for found in read_jobs(client, chunk) if _matches(found, queue, need, where)]
            why = short_reason(reason) or (f"jobs that need {need} were cancelled" if need else "cancelled")
            cancelled += scripts.cancel(chosen, queue=queue, reason=why, from_list=False) if chosen else 0
            looked_at += len(chunk)
            if progress is not None:
                progress(Progress(looked_at, len(ids), cancelled))
        scripts.compact_queue(queue)
    return cancelled


def _matches(found: Job, queue: str, need: str | None, where: Callable[[Job], bool]) -> bool:
    try:
        return found.origin == queue and (need is None or need in found.needs) and where(found)
    except JobRefusedError:
        if found.problem:
            return False  # the function asked for the call of a job whose call cannot be read
        raise


def _waiting(client: Client, queue: str) -> list[str]:
    """Return the ids of the waiting jobs: queued, scheduled, deferred and held."""
    registries = (rq_keys.scheduled(queue), rq_keys.deferred(queue))
    return [*_read(client.lrange, rq_keys.queue(queue)), *(job_id for key in registries for job_id in _read(client.zrange, key))]


def _read(command: Callable[..., Any], key: str) -> list[str]:
    return read_backward(partial(command, key), size=PAGE)
