"""How far some workers are: what they have done, and what is left for them."""

from collections.abc import Collection

import msgspec
import redis

from notify.server import Client
from workers import rq_keys

__all__ = ["WorkerProgress", "worker_progress"]

FIELDS = ("successful_job_count", "failed_job_count", "current_job")


class WorkerProgress(msgspec.Struct, frozen=True):
    """Jobs in numbers.

    Args:
        done: finished by those workers.
        failed: failed there; one that is tried again counts each time.
        left: in the queues, and in hand.
    """

    done: int
    failed: int
    left: int


def worker_progress(connection: redis.Redis, *, queues: Collection[str], workers: Collection[str]) -> WorkerProgress:
    """Count, in one round trip.

    Args:
        connection: ``bus.redis``.
        queues: names of the queues that they work on.
        workers: their names; RQ keeps their counts for a minute after their end.

    Raises:
        ServerError: the server did not answer, or refused.
    """
    client = Client.of(connection)
    with client.translating("counting jobs"), client.pipeline() as pipe:
        for name in queues:
            pipe.llen(rq_keys.queue(name))
        for name in workers:
            pipe.hmget(rq_keys.worker(name), *FIELDS)
        answers = pipe.execute()
    counts = answers[len(queues) :]
    done, failed = (sum(int(count[index] or 0) for count in counts) for index in (0, 1))
    return WorkerProgress(done, failed, sum(answers[: len(queues)]) + sum(bool(count[2]) for count in counts))
