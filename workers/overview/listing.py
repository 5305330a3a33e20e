"""Listings: the numbers of each queue, and the jobs of queues, read from RQ's lists and registries."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
import redis

from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError, QueueNotFoundError
from workers.jobs import Job, check_need, read_jobs
from workers.overview.paging import chunked, queue_names, read_forward
from workers.scripts import RQ_STATUS

__all__ = ["JobStatus", "QueueInfo", "find_jobs", "queues"]

CHUNK: Final = 100

JobStatus: TypeAlias = Literal["queued", "started", "held", "deferred", "scheduled", "finished", "failed", "stopped", "canceled"]
"""The status of a job in RQ's words; and ``held``, which RQ calls deferred."""

HELD_OR_DEFERRED: Final = ("held", "deferred")
"""Two statuses that RQ does not distinguish: both are ``deferred`` there."""

REGISTRIES: Final[dict[str, Callable[[str], str]]] = {
    "started": rq_keys.started,
    "deferred": rq_keys.deferred,
    "scheduled": rq_keys.scheduled,
    "finished": rq_keys.finished,
    "failed": rq_keys.failed,  # stopped jobs are in it as well
    "canceled": rq_keys.canceled,
}
"""RQ's registries of jobs by status, each as the function that builds its key from the name of a queue."""


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue in numbers: its jobs by status, and the workers that listen to it."""

    queue: str
    queued: int
    started: int
    deferred: int
    scheduled: int
    finished: int
    failed: int
    canceled: int
    workers: int


def queues(connection: redis.Redis) -> list[QueueInfo]:
    """Return the numbers of every queue that jobs were put on, sorted by name."""
    client = Client.of(connection)
    with client.translating("counting jobs"):
        names = queue_names(client)
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.llen(rq_keys.queue(name))
                for registry in REGISTRIES.values():
                    pipe.zcard(registry(name))
                pipe.scard(rq_keys.workers(name))
            numbers = pipe.execute()
    width = len(REGISTRIES) + 2
    return [QueueInfo(name, *numbers[at : at + width]) for at, name in zip(range(0, len(numbers), width), names, strict=True)]


def find_jobs(connection: redis.Redis, *, queue: str | None = None, status: str | None = None, needs: str | None = None) -> Iterator[Job]:
    """Yield jobs, first the waiting jobs in the order of the queue. They are read in chunks, while the caller iterates.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        queue: only jobs of this queue.
        status: only jobs with this status: one of `JobStatus`, or ``cancelled``.
        needs: only jobs that require this: the name of a service, or ``any <capability>``. Without a status, only those that wait or
            run.

    Raises:
        QueueNotFoundError: no job was ever put on that queue.
        JobDefinitionError: there is no such status, or ``needs`` names no service.
    """
    if status is not None and status not in (*get_args(JobStatus), "cancelled"):
        raise JobDefinitionError(f"status is {status!r}: choose one of {', '.join(get_args(JobStatus))}")
    needs = check_need(needs) if needs is not None else None
    client = Client.of(connection)
    with client.translating("looking for jobs"):
        names = queue_names(client)
        if queue is not None and queue not in names:
            raise QueueNotFoundError(f"no queue {queue!r} at {client.address}; there are {', '.join(names) or 'none'}")
        rq_status = RQ_STATUS.get(status, status) if status is not None else None
        registry = "failed" if rq_status == "stopped" else rq_status
        by_need = needs is not None and status in (None, "queued", "held")
        ids = _ids(client, [queue] if queue is not None else names, registry, needs, by_need=by_need)
        for chunk in chunked(ids, CHUNK):
            found = (each for each in read_jobs(client, chunk) if _matches(each, queue, rq_status, needs))
            yield from (each for each in found if status not in HELD_OR_DEFERRED or (each.held is not None) == (status == "held"))


def _ids(client: Client, names: list[str], status: str | None, needs: str | None, *, by_need: bool) -> Iterator[str]:
    if by_need and needs is not None:
        yield from _read(client.zrange, client.own_keys.needs(needs))
        registries = {"started"} if status is None else set[str]()
    else:
        if status in (None, "queued"):
            yield from (job_id for name in names for job_id in _read(client.lrange, rq_keys.queue(name)))
        registries = set(REGISTRIES) if status is None else {status}
    for kept_status, registry in REGISTRIES.items():
        if kept_status in registries:
            for name in names:
                yield from (member.partition(":")[0] for member in _read(client.zrange, registry(name)))


def _read(command: Callable[..., Any], key: str) -> Iterator[str]:
    return read_forward(partial(command, key), size=CHUNK)


def _matches(found: Job, queue: str | None, status: str | None, needs: str | None) -> bool:
    current = found.get_status(refresh=False)
    return (
        (queue is None or found.origin in (queue, ""))  # without an origin, it cannot be read
        and (needs is None or needs in found.needs)
        and (status is None or (current is not None and current.value == status))
    )
