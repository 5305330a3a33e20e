"""The loss of a service: watching for it, and applying it to the jobs that need the service.

Every worker watches for its own job; one worker at a time deals with the waiting ones.
It never decides whether a service is alive: the directory does.
"""

from workers.loss.held import HeldJobs
from workers.loss.watcher import LossWatcher

__all__ = [
    "HeldJobs",
    "LossWatcher",
]
