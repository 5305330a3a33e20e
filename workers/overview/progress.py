"""The progress of some workers: how many jobs they have done, and how many are left for them."""

from collections.abc import Collection

import msgspec
import redis

from notify.server import Client, whole
from workers import rq_keys

__all__ = ["WorkerProgress", "worker_progress"]

FIELDS = ("successful_job_count", "failed_job_count", "current_job")
"""Fields of RQ's hash of a worker."""


class WorkerProgress(msgspec.Struct, frozen=True):
    """Numbers of jobs.

    Args:
        done: jobs that the workers finished.
        failed: runs that failed; a job that is retried counts each time.
        left: jobs that wait in the queues, and jobs that these workers run.
    """

    done: int
    failed: int
    left: int


def worker_progress(connection: redis.Redis, *, queues: Collection[str], workers: Collection[str]) -> WorkerProgress:
    """Count the jobs of some workers, in one round trip.

    Args:
        connection: ``bus.redis``.
        queues: the names of the queues they work on.
        workers: the names of the workers; RQ keeps their counts for a minute after their end.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    with client.translating("counting jobs"), client.pipeline() as pipe:
        for name in queues:
            pipe.llen(rq_keys.queue(name))
        for name in workers:
            pipe.hmget(rq_keys.worker(name), *FIELDS)
        answers = pipe.execute()
    counts = answers[len(queues) :]
    done, failed = (sum(whole(count[index], 0) for count in counts) for index in (0, 1))
    return WorkerProgress(done, failed, sum(answers[: len(queues)]) + sum(bool(count[2]) for count in counts))
