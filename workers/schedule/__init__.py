"""Scheduled and recurring jobs: the scheduler and cron enqueue them when they are due.

The leader of the workers runs both; each worker registers the recurring jobs it has loaded. People pause them, and run them now.
Nothing here runs a job.
"""

from workers.schedule.by_hand import pause_cron, resume_cron, run_cron
from workers.schedule.cron import Cron, register_cron
from workers.schedule.dependents import Dependents
from workers.schedule.rate_limits import RateLimits
from workers.schedule.scheduler import Scheduler

__all__ = [
    "Cron",
    "Dependents",
    "RateLimits",
    "Scheduler",
    "pause_cron",
    "register_cron",
    "resume_cron",
    "run_cron",
]
