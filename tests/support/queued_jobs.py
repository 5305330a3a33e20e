"""Helpers for the tests of queues."""

from typing import Any

import redis
import rq

import notify
from workers import Queue
from workers.jobs.call import JsonSerializer


def waiting(queue: Queue) -> list[str]:
    """The ids in the list of a queue."""
    return list(queue.get_job_ids())


def index(bus: notify.Bus, service: str = "svc") -> list[str]:
    """The ids in the index of a service: the waiting jobs that require it."""
    ids: Any = bus.redis.zrange(bus.keys.needs(service), 0, -1)
    return [job_id.decode() for job_id in ids]


def run_scheduler(bus: notify.Bus) -> None:
    """Enqueue due jobs by RQ's scheduler."""
    with redis.Redis(connection_pool=bus.redis.connection_pool) as plain:
        scheduler = rq.scheduler.RQScheduler(["work"], connection=plain, serializer=JsonSerializer)
        scheduler.acquire_locks()
        scheduler.enqueue_scheduled_jobs()
        scheduler.release_locks()
        scheduler.connection.connection_pool.disconnect()
