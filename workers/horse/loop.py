"""Main loop of the horse: runs jobs in turn, and restores the state of the process after each."""

import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from workers.horse.channel import Reply, Task
from workers.horse.inbox import Inbox
from workers.horse.process_state import ProcessState, flush_output

__all__ = ["INTERRUPT", "RetireAfter", "run_jobs"]

INTERRUPT: Final = signal.SIGUSR1
"""The signal that raises `JobStopped` in the running job."""

REST_S: Final = 1.0
"""Seconds without a task after which the process rests."""


class RetireAfter(msgspec.Struct, frozen=True):
    """When the process that runs the jobs is replaced by a new one.

    The state of the process is restored after each job: signals, standard streams, working directory, environment, limits, locale,
    and more. If a job leaves something behind that cannot be restored, such as a thread or a child process, the process is
    replaced. Modules and their globals are shared with the next job. With ``jobs=1`` each job has a process of its own, as with RQ.

    Args:
        jobs: the number of jobs after which a process is replaced.
        megabytes: the largest resident memory that a process may have had, in MiB; ``None``: no limit.
    """

    jobs: int = 10_000
    megabytes: int | None = None


def run_jobs(
    inbox: Inbox,
    perform: Callable[[Task], Reply],
    *,
    state: ProcessState,
    retire: RetireAfter,
    rest: Callable[[], object] = lambda: None,
) -> NoReturn:
    """Perform the tasks that come through the inbox, until the worker is gone or the process retires.

    Args:
        inbox: the horse's end of the connection to the worker.
        perform: performs a task and returns the reply to it. An exception that it raises ends the process.
        state: the state of the process in which each job begins.
        retire: when the process retires.
        rest: called when no task came for a second: it closes connections, for an idle process needs none.
    """
    random.seed()  # or each horse would draw the same random numbers: it is a copy of the fork server
    done = 0
    while True:
        try:
            task = inbox.take(REST_S, rest)
        except EOFError:
            os._exit(0)
        if inbox.is_late:
            inbox.reply(Reply(is_late=True))
            continue
        state.announce(task.job_id)
        reply = state.isolated(perform, task)
        done += 1
        flush_output()
        retires = not state.restore() or reply.retires or done >= retire.jobs or _is_above(retire.megabytes)
        inbox.reply(msgspec.structs.replace(reply, retires=True) if retires else reply)
        if retires:
            os._exit(0)


def _is_above(megabytes: int | None) -> bool:
    """Return whether the peak of this process's resident memory is above a limit in MiB."""
    if megabytes is None:
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10) > megabytes
