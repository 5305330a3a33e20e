"""RQ's own keys, as RQ builds them: its jobs, queues and registries stay readable for its tools."""

from typing import Final

from rq import Queue as RqQueue
from rq.job import Job as RqJob
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

__all__ = ["QUEUES", "canceled", "deferred", "failed", "finished", "job", "queue", "queue_name", "scheduled", "started", "workers"]

QUEUES: Final = RqQueue.redis_queues_keys
"""The set of the keys of all queues."""


def job(job_id: str) -> str:
    """The hash of a job. Ours adds: needs (JSON), on_loss, fence and sealed of the run, stopped (its fence), outcome (JSON)."""
    return RqJob.key_for(job_id)


def queue(name: str) -> str:
    """The list of the ids that wait."""
    return f"{RqQueue.redis_queue_namespace_prefix}{name}"


def queue_name(key: str) -> str:
    """The name of the queue whose key `queue` built."""
    return key.removeprefix(RqQueue.redis_queue_namespace_prefix)


def canceled(name: str) -> str:
    return CanceledJobRegistry.key_template.format(name)


def deferred(name: str) -> str:
    return DeferredJobRegistry.key_template.format(name)


def scheduled(name: str) -> str:
    return ScheduledJobRegistry.key_template.format(name)


def started(name: str) -> str:
    """The executions of a queue's jobs that run, as ``<job>:<execution>``."""
    return StartedJobRegistry.key_template.format(name)


def finished(name: str) -> str:
    return FinishedJobRegistry.key_template.format(name)


def failed(name: str) -> str:
    return FailedJobRegistry.key_template.format(name)


def workers(name: str) -> str:
    """The set of the workers that listen to a queue."""
    return WORKERS_BY_QUEUE_KEY % name
