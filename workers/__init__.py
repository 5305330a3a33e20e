"""Jobs on RQ that name the services they need, and end the moment one of those is withdrawn.

Mark functions with `job`, enqueue them on a `Queue`, run them by a `Worker`.
"""

from workers.cancelling import Progress
from workers.cron_overview import CronInfo, cron_jobs
from workers.current import current_bus, current_job
from workers.definition import job
from workers.errors import (
    DuplicateJobError,
    DuplicateKeyError,
    HorseError,
    JobArgumentsError,
    JobDefinitionError,
    JobError,
    JobNotFoundError,
    JobRefusedError,
    JobTooLargeError,
    ModuleLoadError,
    QueueNotFoundError,
    StorageError,
    StorageKilledError,
    UnknownKeyError,
    WorkersError,
)
from workers.explain import explain
from workers.jobs import Job
from workers.ladder import JobStopped, StopLadder
from workers.outcome import Outcome, Why
from workers.overview import JobStatus, QueueInfo, find_jobs, queues
from workers.pool import Pool, WorkerOptions
from workers.preview import Stake, preview_loss
from workers.queue import Queue
from workers.requeue import requeue
from workers.rider import RetireAfter
from workers.terms import Needs, Policy
from workers.worker import Worker

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
