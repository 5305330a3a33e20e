"""Read-only views: queues, jobs, progress, recurring jobs, and a preview of a loss.

The command line and applications call them; queues use the paging of ids.
Nothing here changes a job or a queue.
"""

from workers.overview.cron import CronInfo, cron_jobs
from workers.overview.explanation import explain
from workers.overview.listing import JobStatus, QueueInfo, find_jobs, queues
from workers.overview.loss import Stake, count_needing, preview_loss
from workers.overview.paging import chunked, read_backward
from workers.overview.progress import WorkerProgress, worker_progress

__all__ = [
    "CronInfo",
    "JobStatus",
    "QueueInfo",
    "Stake",
    "WorkerProgress",
    "chunked",
    "count_needing",
    "cron_jobs",
    "explain",
    "find_jobs",
    "preview_loss",
    "queues",
    "read_backward",
    "worker_progress",
]
