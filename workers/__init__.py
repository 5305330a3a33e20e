"""Jobs on RQ that name the services they require. When one of these is withdrawn, they are cancelled, held or stopped.

Mark functions with `job`, enqueue calls of them on a `Queue`, and run a `Worker` for that queue.
"""

from workers.errors import (
    DuplicateJobError,
    DuplicateKeyError,
    HorseError,
    JobArgumentsError,
    JobDefinitionError,
    JobError,
    JobNotFoundError,
    JobRefusedError,
    JobResultError,
    JobTooLargeError,
    ModuleLoadError,
    QueueNotFoundError,
    StorageError,
    StorageKilledError,
    UnknownKeyError,
    WorkersError,
)
from workers.horse import RetireAfter
from workers.jobs import Job, JobStopped, Needs, Outcome, Policy, StopLadder, Why, current_bus, current_job, job
from workers.overview import CronInfo, JobStatus, QueueInfo, Stake, cron_jobs, explain, find_jobs, preview_loss, queues
from workers.queue import Progress, Queue, requeue
from workers.worker import Pool, Worker, WorkerOptions

__all__ = [
    "CronInfo",
    "DuplicateJobError",
    "DuplicateKeyError",
    "HorseError",
    "Job",
    "JobArgumentsError",
    "JobDefinitionError",
    "JobError",
    "JobNotFoundError",
    "JobRefusedError",
    "JobResultError",
    "JobStatus",
    "JobStopped",
    "JobTooLargeError",
    "ModuleLoadError",
    "Needs",
    "Outcome",
    "Policy",
    "Pool",
    "Progress",
    "Queue",
    "QueueInfo",
    "QueueNotFoundError",
    "RetireAfter",
    "Stake",
    "StopLadder",
    "StorageError",
    "StorageKilledError",
    "UnknownKeyError",
    "Why",
    "Worker",
    "WorkerOptions",
    "WorkersError",
    "cron_jobs",
    "current_bus",
    "current_job",
    "explain",
    "find_jobs",
    "job",
    "preview_loss",
    "queues",
    "requeue",
]
