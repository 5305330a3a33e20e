"""The loss of a service: watching for losses, and applying them to the jobs that require the service.

Every worker watches for its own job; one worker at a time applies a loss to the waiting jobs, and releases held jobs.
Nothing here decides whether a service is alive: the directory does.
"""

from workers.loss.held import HeldJobs
from workers.loss.watcher import LossWatcher

__all__ = [
    "HeldJobs",
    "LossWatcher",
]
