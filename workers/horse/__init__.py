"""The work horse: the child process that runs jobs, and the fork server that starts it.

The worker hands it one job at a time.
It never talks to the server about queues.
"""

from workers.horse.channel import Channel, Reply, Task
from workers.horse.fork_server import Death, flush_output
from workers.horse.horse import UNKNOWN, Horse, HorseEnd
from workers.horse.loop import INTERRUPT, RetireAfter, run_jobs
from workers.horse.parent_death import die_with_parent

__all__ = [
    "INTERRUPT",
    "UNKNOWN",
    "Channel",
    "Death",
    "Horse",
    "HorseEnd",
    "Reply",
    "RetireAfter",
    "Task",
    "die_with_parent",
    "flush_output",
    "run_jobs",
]
