"""The loss of a service: watches for losses, and applies them to the jobs that require the service.

Every worker watches its own running job. One worker at a time applies a loss to the waiting jobs, and the leader releases held jobs.
Nothing here decides whether a service is alive: the directory does. Whoever meets an overdue service has the directory swept here.
"""

from workers.loss.held import HeldJobs
from workers.loss.overdue import OverdueServices
from workers.loss.watcher import LossWatcher

__all__ = [
    "HeldJobs",
    "LossWatcher",
    "OverdueServices",
]
