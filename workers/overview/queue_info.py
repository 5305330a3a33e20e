"""Queues in numbers: their jobs by status, how long the oldest has waited, and their workers."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import redis

from notify.server import Client
from workers import rq_keys
from workers.overview.held import held_counts
from workers.overview.paging import queue_names
from workers.scripts import COUNT_AT_ONCE, RecordScripts

__all__ = ["QueueInfo", "queues"]

COUNTED: Final = 10_000
"""A longer list is not looked through: its length is the number of its jobs. The oldest and stopped ones are looked for among the first."""

LOOKED_AT_ROUGHLY: Final = 100
"""So many jobs of a list are looked through where rough numbers are enough."""


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in numbers. Jobs whose lifetime is over do not count, although RQ keeps their ids until somebody cleans up.

    Args:
        queue: the name of the queue.
        queued: jobs that wait for a worker.
        latency_s: seconds for which the oldest of them has waited; ``None`` if none waits.
        started: running jobs.
        held: jobs that wait for a service that they need.
        deferred: jobs that wait for the jobs that they depend on.
        scheduled: jobs that wait for their time.
        ready_to_enqueue, rate_limited: jobs that RQ 3 is about to enqueue, and those that wait for a place within its rate limits.
        failed, stopped, canceled, finished: jobs that ended so, while they are kept.
        workers: the workers that listen to the queue.
        paused: whether workers leave its jobs where they are, see `workers.queue.pause_queue`.
    """

    queue: str
    queued: int
    latency_s: float | None
    started: int
    held: int
    deferred: int
    scheduled: int
    failed: int
    stopped: int
    canceled: int
    finished: int
    workers: int
    ready_to_enqueue: int = 0
    rate_limited: int = 0
    paused: bool = False


class _Sizes(msgspec.Struct, frozen=True):
    """The lengths of RQ's keys of a queue."""

    listed: int
    started: int
    deferred: int
    scheduled: int
    failed: int
    canceled: int
    finished: int
    workers: int
    ready: int


def queues(connection: redis.Redis, *, exact: bool = True) -> list[QueueInfo]:
    """Return the numbers of every queue that jobs were put on, sorted by name.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        exact: look at the jobs themselves. If not, the lengths of RQ's keys are the numbers: stopped jobs count as failed, and jobs whose
            lifetime is over count until somebody cleans up. That takes the same time however many jobs there are.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    scripts = RecordScripts(client)
    with client.translating("counting jobs"):
        names, clock = queue_names(client), _clock(client)
        sizes, held, limited = _sizes(client, names, clock), _held(client), _rate_limited(client)
        paused = _paused(client)
    info_of = _info if exact else _rough_info
    infos = (info_of(scripts, name, sizes[name], held.get(name, 0), clock) for name in names)
    return [msgspec.structs.replace(info, rate_limited=limited.get(info.queue, 0), paused=info.queue in paused) for info in infos]


def _info(scripts: RecordScripts, name: str, sizes: _Sizes, held: int, clock: float) -> QueueInfo:
    waiting, oldest = _count(scripts, rq_keys.queue(name), sizes.listed, at_most=COUNTED)
    ended, _ = _count(scripts, rq_keys.failed(name), sizes.failed, at_most=COUNTED)
    cancelled, _ = _count(scripts, rq_keys.canceled(name), sizes.canceled, at_most=COUNTED)
    stopped = ended.get("stopped", 0)
    return QueueInfo(
        queue=name,
        queued=sizes.listed if sizes.listed > COUNTED else waiting.get("queued", 0),
        latency_s=None if oldest is None else max(0.0, round(clock - oldest, 3)),
        started=sizes.started,
        held=held,
        deferred=max(0, sizes.deferred - held),
        scheduled=sizes.scheduled,
        failed=sizes.failed - stopped if sizes.failed > COUNTED else ended.get("failed", 0),
        stopped=stopped,
        canceled=sizes.canceled if sizes.canceled > COUNTED else cancelled.get("canceled", 0),
        finished=sizes.finished,
        workers=sizes.workers,
        ready_to_enqueue=sizes.ready,
    )


def _rough_info(scripts: RecordScripts, name: str, sizes: _Sizes, held: int, clock: float) -> QueueInfo:
    _, oldest = _count(scripts, rq_keys.queue(name), sizes.listed, at_most=LOOKED_AT_ROUGHLY) if sizes.listed else ({}, None)
    return QueueInfo(
        queue=name,
        queued=sizes.listed,
        latency_s=None if oldest is None else max(0.0, round(clock - oldest, 3)),
        started=sizes.started,
        held=held,
        deferred=max(0, sizes.deferred - held),
        scheduled=sizes.scheduled,
        failed=sizes.failed,
        stopped=0,
        canceled=sizes.canceled,
        finished=sizes.finished,
        workers=sizes.workers,
        ready_to_enqueue=sizes.ready,
    )


def _count(scripts: RecordScripts, key: str, size: int, *, at_most: int | None = None) -> tuple[Mapping[str, int], float | None]:
    """Return the numbers of the jobs under a key by status, and the time when the oldest queued one of them was enqueued."""
    counts: dict[str, int] = {}
    oldest: list[float] = []
    for first in range(0, size if at_most is None else min(size, at_most), COUNT_AT_ONCE):
        page = scripts.count_jobs(key, first=first, count=COUNT_AT_ONCE if at_most is None else min(COUNT_AT_ONCE, at_most))
        for status, count in page.by_status.items():
            counts[status] = counts.get(status, 0) + count
        if page.oldest_us is not None:
            oldest.append(page.oldest_us / 1e6)
        with suppress(ValueError):  # another program wrote it
            oldest.append(datetime.fromisoformat(page.enqueued_at).astimezone(UTC).timestamp())
    return counts, min(oldest, default=None)


def _sizes(client: Client, names: list[str], clock: float) -> dict[str, _Sizes]:
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.llen(rq_keys.queue(name))
            for registry in (rq_keys.started, rq_keys.deferred, rq_keys.scheduled, rq_keys.failed, rq_keys.canceled):
                pipe.zcard(registry(name))
            pipe.zcount(rq_keys.finished(name), f"({clock:.0f}", "+inf")
            pipe.scard(rq_keys.workers(name))
            pipe.zcard(rq_keys.ready(name))
        numbers = pipe.execute(raise_on_error=False)
    width = len(_Sizes.__struct_fields__)
    rows = zip(range(0, len(numbers), width), names, strict=True)
    return {name: _Sizes(*map(_size, numbers[at : at + width])) for at, name in rows}


def _size(answer: Any) -> int:
    if isinstance(answer, redis.ResponseError):
        return 0  # another program uses the key for something else
    if isinstance(answer, Exception):
        raise answer
    return int(answer)


def _held(client: Client) -> dict[str, int]:
    """Return the number of held jobs by queue."""
    counts: dict[str, int] = {}
    for held in held_counts(client):
        counts[held.queue] = counts.get(held.queue, 0) + held.jobs
    return counts


def _paused(client: Client) -> set[str]:
    """Return the names of the paused queues."""
    members: Any = client.smembers(client.own_keys.paused)
    return {member.decode(errors="replace") for member in members}


def _rate_limited(client: Client) -> dict[str, int]:
    """Return the number of jobs by queue that wait for a place within a rate limit of RQ 3; of each limit the first ones are counted."""
    limits: Any = client.smembers(rq_keys.RATE_LIMITS)
    if not limits:
        return {}
    with client.pipeline(transaction=False) as pipe:
        for limit in limits:
            pipe.zrange(rq_keys.rate_limited(limit.decode(errors="replace")), 0, COUNTED - 1)
        waiting = [job_id.decode(errors="replace") for ids in pipe.execute(raise_on_error=False) if isinstance(ids, list) for job_id in ids]
        for job_id in waiting:
            pipe.hget(rq_keys.job(job_id), "origin")
        origins = pipe.execute(raise_on_error=False)
    return Counter(origin.decode(errors="replace") for origin in origins if isinstance(origin, bytes))


def _clock(client: Client) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + microseconds / 1e6
