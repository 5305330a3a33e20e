"""Changes of many jobs: each function takes one batch, so that a caller can show its progress, and stop in between."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import redis

from notify.server import Client
from workers.jobs import Job, read_jobs, short_reason
from workers.queue.queue import Queue
from workers.queue.rq_queue import new_job_of
from workers.rq import JobStatus
from workers.scripts import EnqueueScripts, JobScripts, RecordScripts

__all__ = ["BatchResult", "cancel_jobs", "compact_queues", "delete_jobs", "release_jobs", "requeue_jobs"]


class BatchResult(msgspec.Struct, frozen=True):
    """What a change of some jobs did, in numbers of jobs.

    Args:
        done: jobs that were changed as asked.
        held: of those that were put back: jobs that are held, because a service that they need is not there.
        cancelled: of those that were put back: jobs that are cancelled again, for that reason.
        awaited: jobs that were not deleted, because other jobs wait for them.
        unchanged: jobs that had another status by then, or are gone.
    """

    done: int = 0
    held: int = 0
    cancelled: int = 0
    awaited: int = 0
    unchanged: int = 0

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


def requeue_jobs(connection: redis.Redis, job_ids: Sequence[str]) -> BatchResult:
    """Put jobs that failed, were stopped or were cancelled on their queues again, as `workers.requeue` does with one.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        job_ids: the ids, at most a few hundred.

    Raises:
        ServerError: Redis did not answer, or refused; some of them may be on their queues.
    """
    return _put(connection, job_ids, "ended")


def release_jobs(connection: redis.Redis, job_ids: Sequence[str]) -> BatchResult:
    """Put jobs on their queues now that are held, deferred or scheduled: they wait for nothing but a worker.

    A job whose service is still not there is held, or cancelled, again.

    Args:
        connection, job_ids: as for `requeue_jobs`.

    Raises:
        ServerError: Redis did not answer, or refused; some of them may be on their queues.
    """
    return _put(connection, job_ids, "apart")


def _put(connection: redis.Redis, job_ids: Sequence[str], condition: Literal["ended", "apart"]) -> BatchResult:
    client = Client.of(connection)
    scripts, result = EnqueueScripts(client), BatchResult(unchanged=len(job_ids))
    by_queue: dict[str, list[Job]] = {}
    with client.translating(f"putting {len(job_ids)} jobs on their queues"):
        for job in read_jobs(client, job_ids):
            if not job.problem and job.origin:
                by_queue.setdefault(job.origin, []).append(job)
    for name, jobs in by_queue.items():
        queue = Queue(name, connection=connection)
        for job in jobs:
            job.started_at = job.ended_at = None
            queue._prepare_for_queue(job)
        for admission in scripts.enqueue_many(name, [new_job_of(job, condition) for job in jobs]):
            if admission.status != "refused":
                result += BatchResult(1, int(admission.status == "held"), int(admission.status == "cancelled"), unchanged=-1)
    return result


def cancel_jobs(connection: redis.Redis, job_ids: Sequence[str], *, reason: str = "") -> BatchResult:
    """Cancel jobs: a waiting job never starts, a running one is stopped. Call `compact_queues` after the last batch.

    Args:
        connection, job_ids: as for `requeue_jobs`.
        reason: stored in the outcomes of the jobs.

    Raises:
        ServerError: Redis did not answer, or refused; some of them may be cancelled.
    """
    client = Client.of(connection)
    scripts = JobScripts(client)
    with client.translating(f"cancelling {len(job_ids)} jobs"):
        jobs = {job.id: job for job in read_jobs(client, job_ids)}
        running = [job for job in jobs.values() if job.get_status(refresh=False) == JobStatus.STARTED]
        waiting = [job_id for job_id in jobs if jobs[job_id] not in running]
        done = scripts.cancel(waiting, reason=short_reason(reason) or "cancelled", from_list=False) if waiting else 0
    done += sum(_is_called_off(job, reason) for job in running)
    return BatchResult(done, unchanged=len(job_ids) - done)


def compact_queues(connection: redis.Redis, queues: Iterable[str]) -> None:
    """Take jobs that do not wait any more off the lists of queues. Workers pass over them, so nothing is wrong before."""
    scripts = JobScripts(Client.of(connection))
    for queue in queues:
        scripts.compact_queue(queue)


def delete_jobs(connection: redis.Redis, job_ids: Sequence[str]) -> BatchResult:
    """Delete jobs that have ended, with their results. A job on which others wait stays.

    Args:
        connection, job_ids: as for `requeue_jobs`.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    deleted, awaited, unchanged = RecordScripts(Client.of(connection)).delete(job_ids)
    return BatchResult(deleted, awaited=awaited, unchanged=unchanged)


def _is_called_off(job: Job, reason: str) -> bool:
    outcome = job.cancel(reason)
    return outcome is not None and outcome.status in ("stopped", "cancelled")
