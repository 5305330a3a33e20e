"""Queues: enqueueing one job or many, cancelling in bulk, and requeueing.

Applications, the scheduler and the built-in services enqueue here.
Nothing here runs a job.
"""

from workers.queue.cancel import Progress
from workers.queue.queue import Queue, requeue
from workers.queue.rq_queue import new_job_of

__all__ = [
    "Progress",
    "Queue",
    "new_job_of",
    "requeue",
]
