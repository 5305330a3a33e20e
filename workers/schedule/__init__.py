"""Scheduled and recurring jobs: the scheduler and cron enqueue them when they are due.

The leader of the workers runs both; each worker registers the recurring jobs it has loaded.
Nothing here runs a job.
"""

from workers.schedule.cron import Cron, register_cron
from workers.schedule.dependents import Dependents
from workers.schedule.rate_limits import RateLimits
from workers.schedule.scheduler import Scheduler

__all__ = [
    "Cron",
    "Dependents",
    "RateLimits",
    "Scheduler",
    "register_cron",
]
