"""RQ's own keys, as RQ builds them: its jobs, queues and registries stay readable for its tools."""

from typing import Final

from rq import Queue as RqQueue
from rq import Worker as RqWorker
from rq.executions import ExecutionRegistry
from rq.job import Job as RqJob
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.scheduler import SCHEDULER_LOCKING_KEY_TEMPLATE
from rq.suspension import WORKERS_SUSPENDED
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

__all__ = [
    "QUEUES",
    "WORKERS",
    "canceled",
    "deferred",
    "dependencies",
    "dependents",
    "execution",
    "executions",
    "failed",
    "finished",
    "job",
    "queue",
    "queue_name",
    "results",
    "scheduled",
    "scheduler_lock",
    "started",
    "suspended",
    "worker",
    "workers",
]

QUEUES: Final = RqQueue.redis_queues_keys
"""The set of the keys of all queues."""
WORKERS: Final = RqWorker.redis_workers_keys
"""The set of the keys of all workers."""


def job(job_id: str) -> str:
    """The hash of a job. Ours adds: needs (JSON), on_loss, max_hold_ms, grace_ms, turn, held (the need), fence and sealed of the run,
    stopped (its fence), outcome (JSON)."""
    return RqJob.key_for(job_id)


def dependents(job_id: str) -> str:
    """The set of jobs that wait for a job."""
    return RqJob.dependents_key_for(job_id)


def dependencies(job_id: str) -> str:
    """The set of jobs that a job waits for."""
    return f"{RqJob.redis_job_namespace_prefix}:{job_id}:dependencies"


def execution(job_and_run: str) -> str:
    """The hash of one run of a job, named ``<job id>:<fence>``."""
    return f"rq:execution:{job_and_run}"


def executions(job_id: str) -> str:
    """The runs of a job."""
    return ExecutionRegistry.key_template.format(job_id)


def results(job_id: str) -> str:
    """The stream of how its runs ended."""
    return f"rq:results:{job_id}"


def queue(name: str) -> str:
    """The list of the ids that wait."""
    return f"{RqQueue.redis_queue_namespace_prefix}{name}"


def queue_name(key: str) -> str:
    """The name of the queue whose key `queue` built."""
    return key.removeprefix(RqQueue.redis_queue_namespace_prefix)


def started(name: str) -> str:
    """The executions of a queue's jobs that run, as ``<job>:<execution>``."""
    return StartedJobRegistry.key_template.format(name)


def finished(name: str) -> str:
    return FinishedJobRegistry.key_template.format(name)


def canceled(name: str) -> str:
    return CanceledJobRegistry.key_template.format(name)


def deferred(name: str) -> str:
    return DeferredJobRegistry.key_template.format(name)


def scheduled(name: str) -> str:
    return ScheduledJobRegistry.key_template.format(name)


def scheduler_lock(name: str) -> str:
    """Who enqueues what is scheduled on a queue: there is one scheduler for each."""
    return SCHEDULER_LOCKING_KEY_TEMPLATE % name


def failed(name: str) -> str:
    return FailedJobRegistry.key_template.format(name)


def workers(name: str) -> str:
    """The set of the workers that listen to a queue."""
    return WORKERS_BY_QUEUE_KEY % name


def worker(name: str) -> str:
    """The hash of a worker."""
    return f"{RqWorker.redis_worker_namespace_prefix}{name}"


def suspended() -> str:
    """Exists while no worker may take a job."""
    return WORKERS_SUSPENDED
