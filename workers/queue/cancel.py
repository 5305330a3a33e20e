"""Cancelling many waiting jobs of a queue: by what they need, or by what their caller knows of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import redis

from notify.directory import Target
from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError, QueueNotFoundError
from workers.jobs import Job, check_need, read_jobs
from workers.scripts import AT_ONCE, JobScripts

__all__ = ["Progress", "cancel_waiting"]


PAGE: Final = 1_000


class Progress(msgspec.Struct, frozen=True):
    """How far a cancel has come: jobs looked at, of how many there were when it began, and how many of these were cancelled."""

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
    """Cancel waiting jobs; arguments, result and errors as for `workers.queue.queue.Queue.cancel`."""
    if needs is None and where is None:
        raise JobDefinitionError(f"cancel which jobs of {queue!r}? give needs= or where=; where=lambda job: True means all of them")
    client = Client.of(connection)
    scripts = JobScripts(client)
    need = check_need(needs) if needs is not None else None
    with client.translating(f"cancelling jobs of {queue!r}"):
        if not client.sismember(rq_keys.QUEUES, rq_keys.queue(queue)):
            raise QueueNotFoundError(f"no queue {queue!r} at {client.address}: nothing was ever put on it")
        ids = _waiting(client, queue) if need is None else _pages(partial(client.zrange, scripts.keys.needs(need)))
        looked_at = cancelled = 0
        for some in (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE)):
            chosen = some if where is None else [found.id for found in read_jobs(client, some) if _is_meant(found, queue, need, where)]
            because = reason or (f"jobs that need {need} were cancelled" if need else "cancelled")
            cancelled += scripts.cancel(chosen, queue=queue, reason=because, from_list=False) if chosen else 0
            looked_at += len(some)
            if progress is not None:
                progress(Progress(looked_at, len(ids), cancelled))
        scripts.compact_queue(queue)
    return cancelled


def _is_meant(found: Job, queue: str, need: str | None, where: Callable[[Job], bool]) -> bool:
    return found.origin == queue and (need is None or need in found.needs) and where(found)


def _waiting(client: Client, queue: str) -> list[str]:
    """Ids of the jobs that wait: in the list, for their time, for other jobs, or for what they need."""
    listed = _pages(partial(client.lrange, rq_keys.queue(queue)))
    registries = (rq_keys.scheduled(queue), rq_keys.deferred(queue))
    return [*listed, *(job_id for key in registries for job_id in _pages(partial(client.zrange, key)))]


def _pages(read: Callable[[int, int], Any]) -> list[str]:
    """Read ids from the last to the first: what is taken from the front meanwhile moves none of those that are still to be read."""
    found: list[str] = []
    while page := read(-len(found) - PAGE, -len(found) - 1):
        found += [job_id.decode() for job_id in reversed(page)]
        if len(page) < PAGE:
            break
    return list(dict.fromkeys(reversed(found)))
