"""Read-only views: queues, jobs, progress, cron, and what the loss of a service would do.

The command line and the Python functions of the same names read here.
It never changes a job or a queue.
"""

from workers.overview.cron import CronInfo, cron_jobs
from workers.overview.explanation import explain
from workers.overview.listing import JobStatus, QueueInfo, find_jobs, queues
from workers.overview.loss import Stake, count_needing, preview_loss
from workers.overview.progress import WorkerProgress, worker_progress

__all__ = [
    "CronInfo",
    "JobStatus",
    "QueueInfo",
    "Stake",
    "WorkerProgress",
    "count_needing",
    "cron_jobs",
    "explain",
    "find_jobs",
    "preview_loss",
    "queues",
    "worker_progress",
]
