"""RQ's keys, built as RQ builds them, so that RQ's tools read our jobs, queues and registries."""

from typing import Final

from workers.rq import (
    KEY_PREFIX,
    SCHEDULER_LOCKING_KEY_TEMPLATE,
    WORKERS_BY_QUEUE_KEY,
    WORKERS_SUSPENDED,
    CanceledJobRegistry,
    DeferredJobRegistry,
    ExecutionRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    PlainJob,
    PlainQueue,
    PlainWorker,
    Result,
    ScheduledJobRegistry,
    StartedJobRegistry,
)

__all__ = [
    "QUEUES",
    "RATE_LIMITS",
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
    "rate_limited",
    "ready",
    "results",
    "scheduled",
    "scheduler_lock",
    "started",
    "suspended",
    "worker",
    "worker_executions",
    "workers",
]

QUEUES: Final = PlainQueue.redis_queues_keys
"""Set: the keys of all queues."""
RATE_LIMITS: Final = f"{KEY_PREFIX}:rl-keys"
"""Set: the keys of RQ 3's rate limits."""
WORKERS: Final = PlainWorker.redis_workers_keys
"""Set: the keys of all workers."""


def job(job_id: str) -> str:
    """Hash: a job, with RQ's fields and ours.

    Our fields: needs (JSON), on_loss, max_hold_ms, grace_ms, turn (the place among all jobs), held (the need it is held for),
    fence and sealed (of its run), stopped (the fence of the stopped run), outcome (JSON), call (json or pickled,
    noted by a worker that skips pickled jobs), progress (JSON), called_back (the fence of the last run for which on_failure or
    on_stopped was called).
    """
    return PlainJob.key_for(job_id)


def dependents(job_id: str) -> str:
    """Set: the ids of the jobs that depend on a job."""
    return PlainJob.dependents_key_for(job_id)


def dependencies(job_id: str) -> str:
    """Set: the ids of the jobs that a job depends on."""
    return f"{PlainJob.redis_job_namespace_prefix}:{job_id}:dependencies"


def execution(job_and_run: str) -> str:
    """Hash: one run of a job, named ``<job id>:<fence>``."""
    return f"{KEY_PREFIX}:execution:{job_and_run}"


def executions(job_id: str) -> str:
    """Sorted set: the fences of the runs of a job."""
    return ExecutionRegistry.key_template.format(job_id)


def results(job_id: str) -> str:
    """Stream: the results of the runs of a job."""
    return str(Result.get_key(job_id))  # type: ignore[no-untyped-call]  # RQ leaves it untyped


def queue(name: str) -> str:
    """List: the ids of the queued jobs."""
    return f"{PlainQueue.redis_queue_namespace_prefix}{name}"


def queue_name(key: str) -> str:
    """Return the name of a queue from its key, see `queue`."""
    return key.removeprefix(PlainQueue.redis_queue_namespace_prefix)


def started(name: str) -> str:
    """Sorted set: the running jobs of a queue, as ``<job id>:<fence>``."""
    return StartedJobRegistry.key_template.format(name)


def finished(name: str) -> str:
    """Sorted set: the finished jobs of a queue."""
    return FinishedJobRegistry.key_template.format(name)


def canceled(name: str) -> str:
    """Sorted set: the cancelled jobs of a queue."""
    return CanceledJobRegistry.key_template.format(name)


def deferred(name: str) -> str:
    """Sorted set: the held jobs of a queue, and those that depend on other jobs."""
    return DeferredJobRegistry.key_template.format(name)


def ready(name: str) -> str:
    """Sorted set: the jobs of a queue that waited for other jobs and are about to be enqueued by RQ 3."""
    return f"{KEY_PREFIX}:ready:{name}"


def rate_limited(key: str) -> str:
    """Sorted set: the jobs that wait for a rate limit of RQ 3. Those that it let through lie in a set beside it."""
    return f"{KEY_PREFIX}:rl:{key}:rate_limited"


def scheduled(name: str) -> str:
    """Sorted set: the scheduled jobs of a queue, scored by the time they are due, in seconds since the epoch."""
    return ScheduledJobRegistry.key_template.format(name)


def scheduler_lock(name: str) -> str:
    """String: the lock on the schedule of a queue. Its value names the scheduler that holds it."""
    return SCHEDULER_LOCKING_KEY_TEMPLATE % name


def failed(name: str) -> str:
    """Sorted set: the failed and the stopped jobs of a queue."""
    return FailedJobRegistry.key_template.format(name)


def workers(name: str) -> str:
    """Set: the keys of the workers that take jobs from a queue."""
    return WORKERS_BY_QUEUE_KEY % name


def worker(name: str) -> str:
    """Hash: a worker."""
    return f"{PlainWorker.redis_worker_namespace_prefix}{name}"


def worker_executions(name: str) -> str:
    """Set: the runs of a worker, each named ``<job id>:<fence>``; for the readers of RQ 3."""
    return f"{worker(name)}:executions"


def suspended() -> str:
    """String: while this key exists, no worker takes a job (``rq suspend``)."""
    return WORKERS_SUSPENDED
