"""The work horse: the child process that runs jobs, the fork server that starts it, and the channel to it.

The worker gives the horse some tasks at a time; the horse performs them in turn, and replies to each.
Nothing here talks to Redis or knows how a job is run: the worker passes in the function that performs a task.
"""

from workers.horse.bell import Bell
from workers.horse.board import Board
from workers.horse.channel import Channel, Reply, Task, decoded
from workers.horse.horse import UNKNOWN, Horse, HorseEnd
from workers.horse.inbox import Inbox
from workers.horse.loop import INTERRUPT, RetireAfter, run_jobs
from workers.horse.orphans import adopt_orphans, disown_orphans, reap_orphans
from workers.horse.parent_death import die_with_parent
from workers.horse.process_state import ProcessState, flush_output, open_standard_files
from workers.horse.replies import Replies
from workers.horse.serving import Death
from workers.horse.task_loop import RunningTask, TaskLoop
from workers.horse.tokens import Tokens

__all__ = [
    "INTERRUPT",
    "UNKNOWN",
    "Bell",
    "Board",
    "Channel",
    "Death",
    "Horse",
    "HorseEnd",
    "Inbox",
    "ProcessState",
    "Replies",
    "Reply",
    "RetireAfter",
    "RunningTask",
    "Task",
    "TaskLoop",
    "Tokens",
    "adopt_orphans",
    "decoded",
    "die_with_parent",
    "disown_orphans",
    "flush_output",
    "open_standard_files",
    "reap_orphans",
    "run_jobs",
]
