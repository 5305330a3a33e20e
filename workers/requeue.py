"""Trying an ended job once more."""

import redis
from rq.job import JobStatus

from notify.connection import Client
from workers import rq_keys
from workers.errors import JobRefusedError
from workers.jobs import Job
from workers.queue import Queue

__all__ = ["requeue"]


def requeue(connection: redis.Redis, job_id: str) -> Job:
    """Put a job that failed, was stopped or was cancelled on its queue again; what was lost before does not count against it.

    Args:
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
        job_id: which job.

    Returns:
        The job. If a service it needs is not registered it is cancelled already, as when it is enqueued.

    Raises:
        JobNotFoundError: there is no such job.
        JobRefusedError: it has not ended, or it finished, or somebody else was faster.
    """
    client = Client.of(connection)
    job = Job.fetch(job_id, connection=connection)
    queue = Queue(job.origin, connection=connection)
    with client.translating(f"enqueueing job {job_id} again"), client.pipeline(transaction=True) as pipe:
        try:
            pipe.watch(job.key)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            _check_ended(job)
            pipe.multi()
            pipe.zrem(rq_keys.failed(job.origin), job_id)
            pipe.zrem(rq_keys.canceled(job.origin), job_id)
            pipe.persist(job.key)
            job.started_at = job.ended_at = None
            again = queue.enqueue_job(job, pipeline=pipe)
            assert isinstance(again, Job)  # noqa: S101  # a Queue of ours gives no other
            if again.get_status(refresh=False) == JobStatus.CANCELED:  # a service it needs is not there: it is put away already
                client.zrem(rq_keys.failed(job.origin), job_id)
            else:
                pipe.execute()
        except redis.WatchError as exc:
            raise JobRefusedError(f"job {job_id} is being enqueued again by somebody else") from exc
    return again


def _check_ended(job: Job) -> None:
    outcome = job.outcome
    if outcome is None:
        raise JobRefusedError(f"job {job.id} has not ended: there is nothing to try again")
    if outcome.status == "finished":
        raise JobRefusedError(f"job {job.id} finished: enqueue another one")
