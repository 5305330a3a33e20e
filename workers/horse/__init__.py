"""The work horse: the child process that runs jobs, the fork server that starts it, and the channel to it.

The worker gives the horse one task at a time and waits for the reply.
Nothing here talks to Redis or knows how a job is run: the worker passes in the function that performs a task.
"""

from workers.horse.channel import Channel, Reply, Task
from workers.horse.horse import UNKNOWN, Horse, HorseEnd
from workers.horse.loop import INTERRUPT, RetireAfter, run_jobs
from workers.horse.orphans import adopt_orphans, reap_orphans
from workers.horse.parent_death import die_with_parent
from workers.horse.process_state import ProcessState, flush_output, open_standard_files
from workers.horse.serving import Death

__all__ = [
    "INTERRUPT",
    "UNKNOWN",
    "Channel",
    "Death",
    "Horse",
    "HorseEnd",
    "ProcessState",
    "Reply",
    "RetireAfter",
    "Task",
    "adopt_orphans",
    "die_with_parent",
    "flush_output",
    "open_standard_files",
    "reap_orphans",
    "run_jobs",
]
