"""Read-only views: queues, workers, jobs, progress, recurring jobs, and a preview of a loss.

The command line and applications call them; queues use the paging of ids.
Nothing here changes a job or a queue; `stop_worker` tells a worker to end.
"""

from workers.overview.cron import CronInfo, cron_jobs
from workers.overview.dependencies import StuckJob, stuck_jobs
from workers.overview.details import JobDetails, details_of
from workers.overview.explanation import explain
from workers.overview.fleet import WorkerInfo, WorkerState, find_worker, find_workers, stop_worker
from workers.overview.held import HeldCount, held_counts
from workers.overview.history import JobPoint, histories_of_functions, histories_of_queues, job_history
from workers.overview.job_filter import JobFilter, JobStatus, ListedJob, moment_of
from workers.overview.listing import JobList, JobOrder, find_jobs, list_jobs
from workers.overview.loss import Stake, count_needing, preview_loss
from workers.overview.needs import NeedCount, need_counts
from workers.overview.pages import JobPage, page_of_jobs
from workers.overview.paging import chunked, read_backward
from workers.overview.progress import WorkerProgress, worker_progress
from workers.overview.queue_info import QueueInfo, queues

__all__ = [
    "CronInfo",
    "HeldCount",
    "JobDetails",
    "JobFilter",
    "JobList",
    "JobOrder",
    "JobPage",
    "JobPoint",
    "JobStatus",
    "ListedJob",
    "NeedCount",
    "QueueInfo",
    "Stake",
    "StuckJob",
    "WorkerInfo",
    "WorkerProgress",
    "WorkerState",
    "chunked",
    "count_needing",
    "cron_jobs",
    "details_of",
    "explain",
    "find_jobs",
    "find_worker",
    "find_workers",
    "held_counts",
    "histories_of_functions",
    "histories_of_queues",
    "job_history",
    "list_jobs",
    "moment_of",
    "need_counts",
    "page_of_jobs",
    "preview_loss",
    "queues",
    "read_backward",
    "stop_worker",
    "stuck_jobs",
    "worker_progress",
]
