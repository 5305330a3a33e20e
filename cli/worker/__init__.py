"""``notify worker`` and ``notify workers``: run worker processes, show all workers, end one of them.

Other commands load modules of jobs, and run pools, with what is here.
Nothing here claims or runs a job: the package ``workers`` does, in the processes that are started here.
"""

from cli.worker.command import worker
from cli.worker.fleet import workers
from cli.worker.modules import BUILT_IN_MODULES, BUILT_IN_QUEUES, importing, load_modules, modules_to_load, queues_of
from cli.worker.running import talking, working

__all__ = [
    "BUILT_IN_MODULES",
    "BUILT_IN_QUEUES",
    "importing",
    "load_modules",
    "modules_to_load",
    "queues_of",
    "talking",
    "worker",
    "workers",
    "working",
]
