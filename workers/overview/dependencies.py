"""The jobs that a job depends on, and the jobs that will never start because one of these ended without success."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec
import redis

from notify.server import Client
from workers import rq_keys
from workers.jobs import Job, read_jobs
from workers.overview.paging import chunked, queue_names, read_forward

__all__ = ["Dependency", "StuckJob", "blocking_one", "dependencies_of", "stuck_jobs"]

CHUNK: Final = 100
IN_WORDS: Final = {"failed": "failed", "stopped": "was stopped", "canceled": "was cancelled", "": "no longer exists"}
ENDED_WELL: Final = frozenset({"finished", ""})


class Dependency(msgspec.Struct, frozen=True):
    """A job that another job waits for.

    Args:
        job_id: its id.
        status: its status in RQ's words; empty if it no longer exists.
    """

    job_id: str
    status: str

    def __str__(self) -> str:
        return f"job {self.job_id}, on which it depends, {IN_WORDS.get(self.status, self.status)}"


class StuckJob(msgspec.Struct, frozen=True):
    """A job that will not start by itself: one that it depends on ended without success."""

    job: Job
    dependency: Dependency


def dependencies_of(client: Client, job: Job) -> list[Dependency]:
    """Return the jobs that a job was enqueued to depend on, in their order."""
    return next(_read(client, [job]))


def stuck_jobs(connection: redis.Redis, *, queue: str | None = None, most: int | None = None) -> Iterator[StuckJob]:
    """Yield the jobs that wait for a job which ended without success. They start when that job is tried again and finishes.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        queue: only jobs of this queue.
        most: how many jobs of each queue to look at; by default all.
    """
    client = Client.of(connection)
    with client.translating("looking for stuck jobs"):
        for name in [queue] if queue is not None else queue_names(client):
            members = read_forward(partial(client.zrange, rq_keys.deferred(name)), size=CHUNK)
            for ids in chunked(members if most is None else islice(members, most), CHUNK):
                waiting = [job for job in read_jobs(client, ids) if job.get_status(refresh=False) == "deferred"]
                for job, dependencies in zip(waiting, _read(client, waiting), strict=True):
                    blocking = blocking_one(job, dependencies)
                    if blocking is not None:
                        yield StuckJob(job, blocking)


def blocking_one(job: Job, dependencies: Sequence[Dependency]) -> Dependency | None:
    """Return the dependency because of which a deferred job will not start by itself; ``None`` if it may still start."""
    for each in dependencies:
        if each.status in ("stopped", "canceled") or (each.status == "failed" and not job.allow_dependency_failures):
            return each
    # Nobody starts a job whose dependencies are all gone: RQ looks at it when one of them ends.
    if all(each.status in ENDED_WELL for each in dependencies):
        return next((each for each in dependencies if not each.status), None)
    return None


def _read(client: Client, jobs: Sequence[Job]) -> Iterator[list[Dependency]]:
    with client.translating("reading dependencies"), client.pipeline(transaction=False) as pipe:
        for job in jobs:
            for job_id in job._dependency_ids:
                pipe.hget(rq_keys.job(job_id), "status")
        statuses: Iterator[Any] = iter(pipe.execute(raise_on_error=False))
    for job in jobs:
        found = [(job_id, next(statuses)) for job_id in job._dependency_ids]
        yield [Dependency(job_id, status.decode(errors="replace") if isinstance(status, bytes) else "") for job_id, status in found]
