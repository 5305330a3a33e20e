"""Queues: enqueueing one job or many, cancelling in bulk, and requeueing.

Applications, the scheduler and the built-in services enqueue here.
Nothing here runs a job.
"""

from workers.queue.cancel import Progress
from workers.queue.many import BatchResult, cancel_jobs, compact_queues, delete_jobs, release_jobs, requeue_jobs
from workers.queue.pausing import pause_queue, paused_queues, resume_queue
from workers.queue.queue import Queue, requeue
from workers.queue.rq_queue import RqQueue, new_job_of

__all__ = [
    "BatchResult",
    "Progress",
    "Queue",
    "RqQueue",
    "cancel_jobs",
    "compact_queues",
    "delete_jobs",
    "new_job_of",
    "pause_queue",
    "paused_queues",
    "release_jobs",
    "requeue",
    "requeue_jobs",
    "resume_queue",
]
