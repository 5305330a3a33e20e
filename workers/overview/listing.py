"""Lists of jobs, read from RQ's lists and registries: all that match, or the first of them in an order."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
import redis

from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError, QueueNotFoundError
from workers.jobs import Job, read_job_rows
from workers.overview.job_filter import JobFilter, ListedJob, moment_of
from workers.overview.paging import chunked, queue_names, read_forward, take_turns
from workers.overview.reasons import reasons_of

__all__ = ["JobList", "JobOrder", "Source", "find_jobs", "list_jobs", "sources_of"]

CHUNK: Final = 100
LOOKED_AT: Final = 3_000
"""Jobs that `list_jobs` looks at, at most, if its limit is not larger."""

JobOrder: TypeAlias = Literal["age", "started", "ended", "runtime", "queue", "function", "status"]
"""An order of jobs: the newest first, the longest runtime first, or by the alphabet and then the newest first."""

_TEXTS: Final[dict[str, Callable[[ListedJob], str]]] = {
    "queue": lambda listed: listed.job.origin,
    "function": lambda listed: listed.job.function_name,
    "status": lambda listed: listed.status,
}
_NUMBERS: Final[dict[str, Callable[[ListedJob], float | None]]] = {
    "age": lambda listed: _seconds(listed.job.enqueued_at or listed.job.created_at),
    "started": lambda listed: _seconds(listed.job.started_at),
    "ended": lambda listed: _seconds(listed.job.ended_at),
    "runtime": lambda listed: _runtime_s(listed.job),
}

REGISTRIES: Final[dict[str, Callable[[str], str]]] = {
    "started": rq_keys.started,
    "deferred": rq_keys.deferred,
    "scheduled": rq_keys.scheduled,
    "ready_to_enqueue": rq_keys.ready,
    "finished": rq_keys.finished,
    "failed": rq_keys.failed,  # stopped jobs are in it as well
    "canceled": rq_keys.canceled,
}
"""RQ's registries of jobs by status, each as the function that builds its key from the name of a queue."""


class JobList(msgspec.Struct, frozen=True):
    """The first jobs in an order.

    Args:
        jobs: the jobs.
        matching: how many of the jobs that were looked at match.
        looked_at: how many jobs were looked at: the newest ones, if there are very many.
        of: how many jobs there are, on these queues and with this status.
    """

    jobs: list[ListedJob]
    matching: int
    looked_at: int
    of: int


def find_jobs(
    connection: redis.Redis,
    *,
    queue: str | None = None,
    status: str | None = None,
    needs: str | None = None,
    function: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: str | None = None,
    reason: str | None = None,
    within_s: float | None = None,
) -> Iterator[Job]:
    """Yield all jobs that match, first the waiting jobs in the order of the queue. They are read in chunks, while the caller iterates.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        queue: only jobs of this queue.
        status: only jobs with this status: one of `JobStatus`, or ``cancelled``.
        needs: only jobs that require this: the name of a service, or ``any <capability>``. Without a status, only those that wait or
            run.
        function: only calls of this function: its dotted path, or its name alone, or a glob pattern of one of them.
        since, until: only jobs that were enqueued, started or ended within these times; without a time zone it is local time.
        text, reason: only jobs with this text in their call, or in the reason for which they ended.
        within_s: seconds after which no more jobs are looked for; by default all are.

    Raises:
        QueueNotFoundError: no job was ever put on that queue.
        JobDefinitionError: there is no such status, ``needs`` names no service, or ``function`` is empty.
    """
    chosen = JobFilter(
        queue=queue, status=status, needs=needs, function=function, since=since, until=until, text=text, reason=reason
    ).checked()
    client, latest = Client.of(connection), None if within_s is None else time.monotonic() + within_s
    with client.translating("looking for jobs"):
        sources = sources_of(client, chosen)
        ids = (source.id_of(member) for source in sources for member in read_forward(source.read, size=CHUNK))
        for chunk in chunked(ids, CHUNK):
            yield from (listed.job for listed in _read(client, chunk, chosen))
            if latest is not None and time.monotonic() > latest:
                return


def list_jobs(
    connection: redis.Redis,
    chosen: JobFilter | None = None,
    *,
    order: str = "age",
    reverse: bool = False,
    limit: int = 100,
    look_at: int = LOOKED_AT,
) -> JobList:
    """Return the first jobs in an order. The work is bounded: of very many jobs only the newest ones are looked at.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        chosen: which jobs; by default all.
        order: one of `JobOrder`. Jobs without the time that it asks for come last.
        reverse: the opposite order.
        limit: the largest number of jobs to return.
        look_at: the most jobs that are looked at, or else ``limit`` if that is more: of each queue and status the newest.

    Raises:
        QueueNotFoundError, JobDefinitionError: as for `find_jobs`, or there is no such order.
    """
    if order not in get_args(JobOrder):
        raise JobDefinitionError(f"the order is {order!r}: choose one of {', '.join(get_args(JobOrder))}")
    chosen = (chosen or JobFilter()).checked()
    client = Client.of(connection)
    with client.translating("looking for jobs"):
        sources = sources_of(client, chosen)
        pages = [source.latest for source in sources if source.size]
        most = max(look_at, limit)
        size = max(1, min(CHUNK, most // max(1, len(pages))))  # larger pages would leave out the last keys
        ids = list(dict.fromkeys(take_turns(pages, size=size, most=most)))
        found = [listed for chunk in chunked(ids, CHUNK) for listed in _read(client, chunk, chosen)]
    return JobList(_in_order(found, order, reverse=reverse)[:limit], len(found), len(ids), sum(source.size for source in sources))


class Source(msgspec.Struct, frozen=True):
    """A key with ids of jobs: its LRANGE or ZRANGE, how many there are, its name, and the registry that it is, or ``queue``."""

    read: Callable[[int, int], Any]
    size: int
    key: str
    kind: str

    def id_of(self, member: str) -> str:
        """Return the id of a job, without the fence of its run, which stands behind it in the registry of running jobs."""
        return member.rpartition(":")[0] if self.kind == "started" and ":" in member else member

    def latest(self, start: int, size: int) -> list[str]:
        """Return a page of the ids, counted from the last one, which is the newest."""
        return [self.id_of(member) for member in self.newest(start, size)]

    def newest(self, start: int, size: int) -> list[str]:
        """Return a page of the members, counted from the last one."""
        page = self.read(-start - size, -start - 1)
        return [member.decode(errors="backslashreplace") for member in reversed(page)]


def sources_of(client: Client, chosen: JobFilter) -> list[Source]:
    """Return the keys in which jobs that match can be, first those of waiting jobs.

    Raises:
        QueueNotFoundError: no job was ever put on that queue.
    """
    names = queue_names(client)
    if chosen.queue is not None and chosen.queue not in names:
        raise QueueNotFoundError(f"no queue {chosen.queue!r} at {client.address}; there are {', '.join(names) or 'none'}")
    names = names if chosen.queue is None else [chosen.queue]
    keys: list[tuple[str, str]] = []  # with the name of the registry, or "queue"
    registries: set[str] = set(REGISTRIES)
    if chosen.needs is not None and chosen.status in (None, "queued", "held"):
        keys.append((client.own_keys.needs(chosen.needs), "needs"))
        registries = {"started"} if chosen.status is None else set()
    elif chosen.status in (None, "queued"):
        keys += [(rq_keys.queue(name), "queue") for name in names]
    if chosen.status is not None:
        registries &= {"failed" if chosen.rq_status == "stopped" else str(chosen.rq_status)}
    if chosen.needs is None and chosen.status in (None, "rate_limited"):
        limits: Any = client.smembers(rq_keys.RATE_LIMITS)
        keys += [(rq_keys.rate_limited(limit.decode(errors="replace")), "rate_limited") for limit in sorted(limits)]
    keys += [(key_of(name), status) for status, key_of in REGISTRIES.items() if status in registries for name in names]
    with client.pipeline(transaction=False) as pipe:
        for key, kind in keys:
            pipe.llen(key) if kind == "queue" else pipe.zcard(key)
        sizes = pipe.execute(raise_on_error=False)
    return [
        Source(partial(client.lrange if kind == "queue" else client.zrange, key), size, key, kind)
        for (key, kind), size in zip(keys, sizes, strict=True)
        if isinstance(size, int)  # otherwise another program uses the key for something else
    ]


def _read(client: Client, ids: list[str], chosen: JobFilter) -> list[ListedJob]:
    rows = list(read_job_rows(client, ids))
    reasons = reasons_of(client, rows) if chosen.reason is not None else {}
    listed = (ListedJob.of(job, fields, reason=reasons.get(job.id, "")) for job, fields in rows)
    return [each for each in listed if chosen.matches(each)]


def _in_order(found: list[ListedJob], order: str, *, reverse: bool) -> list[ListedJob]:
    newest = _by_number(found, _NUMBERS["age"], reverse=False)
    if order in _TEXTS:
        return sorted(newest, key=_TEXTS[order], reverse=reverse)
    return _by_number(newest, _NUMBERS[order], reverse=reverse)


def _by_number(found: list[ListedJob], number: Callable[[ListedJob], float | None], *, reverse: bool) -> list[ListedJob]:
    """Return the jobs with the largest number first, and at the end those without one."""
    known = [(value, listed) for listed in found if (value := number(listed)) is not None]
    unknown = [listed for listed in found if number(listed) is None]
    return [*(listed for _, listed in sorted(known, key=lambda pair: pair[0], reverse=not reverse)), *unknown]


def _seconds(moment: datetime | None) -> float | None:
    known = moment_of(moment)
    return known.timestamp() if known is not None else None


def _runtime_s(job: Job) -> float | None:
    started, ended = _seconds(job.started_at), _seconds(job.ended_at)
    return None if started is None else (ended or time.time()) - started
