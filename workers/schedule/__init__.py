"""Jobs that are due later or again and again: the scheduler and cron.

The leader of the workers runs both.
It never runs a job: it enqueues.
"""

from workers.schedule.cron import Cron, register_cron
from workers.schedule.scheduler import Scheduler

__all__ = [
    "Cron",
    "Scheduler",
    "register_cron",
]
