"""Trying an ended job once more."""

import redis

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
    job = Job.fetch(job_id, connection=connection)
    outcome = job.outcome
    if outcome is None:
        raise JobRefusedError(f"job {job_id} has not ended: there is nothing to try again")
    if outcome.status == "finished":
        raise JobRefusedError(f"job {job_id} finished: enqueue another one")
    client = Client.of(connection)
    with client.translating(f"enqueueing job {job_id} again"), client.pipeline(transaction=True) as pipe:
        pipe.zrem(rq_keys.failed(job.origin), job_id)
        pipe.zrem(rq_keys.canceled(job.origin), job_id)
        pipe.persist(job.key)
        if not any(pipe.execute()[:2]):
            raise JobRefusedError(f"job {job_id} is being enqueued again by somebody else")
    job.started_at = job.ended_at = None
    again = Queue(job.origin, connection=connection).enqueue_job(job)
    assert isinstance(again, Job)  # noqa: S101  # a Queue of ours gives no other
    return again
