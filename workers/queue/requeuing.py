"""Trying an ended job once more."""

import redis

from workers.jobs import Job
from workers.queue.queue import Queue

__all__ = ["requeue"]


def requeue(connection: redis.Redis, job_id: str) -> Job:
    """Put a job that failed, was stopped or was cancelled on its queue again; what was lost before does not count against it.

    Args:
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
        job_id: which job.

    Returns:
        The job. If what it needs is not there it is cancelled already, or held, as when it is enqueued.

    Raises:
        JobNotFoundError: there is no such job.
        JobRefusedError: it has not ended, or it finished, or somebody else was faster.
    """
    job = Job.fetch(job_id, connection=connection)
    return Queue(job.origin, connection=connection).put_back(job)
