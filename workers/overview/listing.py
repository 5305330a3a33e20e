"""What is in the queues: each queue in numbers, and the jobs in it, wherever RQ keeps them."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
import redis

from notify.keys import Keys
from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError, QueueNotFoundError
from workers.jobs import Job, check_need, read_jobs

__all__ = ["JobStatus", "QueueInfo", "find_jobs", "queues"]

CHUNK: Final = 100

JobStatus: TypeAlias = Literal["queued", "started", "held", "deferred", "scheduled", "finished", "failed", "stopped", "canceled"]
"""What a job can be, in RQ's words; and held, which RQ takes for deferred."""

LOOKED_FOR: Final = {"cancelled": "canceled", "held": "deferred"}

HELD_OR_DEFERRED: Final = ("held", "deferred")

REGISTRIES: Final[dict[str, Callable[[str], str]]] = {
    "started": rq_keys.started,
    "deferred": rq_keys.deferred,
    "scheduled": rq_keys.scheduled,
    "finished": rq_keys.finished,
    "failed": rq_keys.failed,  # the stopped ones too
    "canceled": rq_keys.canceled,
}


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue in numbers: jobs by where they are, and workers that listen to it."""

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
    """Describe every queue that jobs were put on, sorted by name."""
    client = Client.of(connection)
    with client.translating("counting jobs"):
        names = _names(client)
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
    """Yield jobs, those that wait first, in the order of their turn; each as it is when reached.

    Args:
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
        queue: only those of this queue.
        status: only those that are that: one of `JobStatus`, or ``cancelled``.
        needs: only those that need this, the name of a service or ``any <capability>``, and wait or run.

    Raises:
        QueueNotFoundError: no job was ever put on that queue.
        JobDefinitionError: there is no such status, or ``needs`` names no service.
    """
    if status is not None and status not in (*get_args(JobStatus), "cancelled"):
        raise JobDefinitionError(f"status is {status!r}: choose one of {', '.join(get_args(JobStatus))}")
    needs = check_need(needs) if needs is not None else None
    client = Client.of(connection)
    with client.translating("looking for jobs"):
        names = _names(client)
        if queue is not None and queue not in names:
            raise QueueNotFoundError(f"no queue {queue!r} at {client.address}; there are {', '.join(names) or 'none'}")
        of_rq = LOOKED_FOR.get(status, status) if status is not None else None
        kept_as = "failed" if of_rq == "stopped" else of_rq
        by_need = needs is not None and status in (None, "queued", "held")
        ids = _ids(client, [queue] if queue is not None else names, kept_as, needs, by_need=by_need)
        while chunk := list(islice(ids, CHUNK)):
            found = (each for each in read_jobs(client, chunk) if _fits(each, queue, of_rq, needs))
            yield from (each for each in found if status not in HELD_OR_DEFERRED or (each.held is not None) == (status == "held"))


def _names(client: Client) -> list[str]:
    keys: Any = client.smembers(rq_keys.QUEUES)
    return sorted(rq_keys.queue_name(key.decode()) for key in keys)


def _ids(client: Client, names: list[str], status: str | None, needs: str | None, *, by_need: bool) -> Iterator[str]:
    if by_need and needs is not None:
        yield from _pages(partial(client.zrange, Keys(client.settings.namespace).needs(needs)))
        registries = {"started"} if status is None else set[str]()
    else:
        if status in (None, "queued"):
            yield from (job_id for name in names for job_id in _pages(partial(client.lrange, rq_keys.queue(name))))
        registries = set(REGISTRIES) if status is None else {status}
    for kept, registry in REGISTRIES.items():
        if kept in registries:
            for name in names:
                yield from (member.partition(":")[0] for member in _pages(partial(client.zrange, registry(name))))


def _pages(read: Callable[[int, int], Any]) -> Iterator[str]:
    start = 0
    while page := read(start, start + CHUNK - 1):
        yield from (member.decode() for member in page)
        start += CHUNK


def _fits(found: Job, queue: str | None, status: str | None, needs: str | None) -> bool:
    is_now = found.get_status(refresh=False)
    return (
        (queue is None or found.origin == queue)
        and (needs is None or needs in found.needs)
        and (status is None or (is_now is not None and is_now.value == status))
    )
