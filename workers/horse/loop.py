"""Main loop of the horse: runs jobs in turn, and restores signal handlers and working directory after each."""

import os
import random
import resource
import signal
import sys
import threading
from _signal import getsignal  # type: ignore[import-not-found]  # the C module under signal: faster, because it makes no enums
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from workers.horse.channel import Channel, Reply, Task
from workers.horse.fork_server import flush_output

__all__ = ["INTERRUPT", "RetireAfter", "run_jobs"]

INTERRUPT: Final = signal.SIGUSR1
"""The signal that raises `JobStopped` in the running job."""


class RetireAfter(msgspec.Struct, frozen=True):
    """When the process that runs the jobs is replaced by a new one.

    Signal handlers and the working directory are restored after each job. If a job leaves a thread or a child process behind,
    the process is replaced. Modules, globals and the environment are shared with the next job. With ``jobs=1`` each job has a
    process of its own, as with RQ.

    Args:
        jobs: the number of jobs after which a process is replaced.
        megabytes: the largest resident memory that a process may have had, in MiB; ``None``: no limit.
    """

    jobs: int = 10_000
    megabytes: int | None = None


def run_jobs(channel: Channel, perform: Callable[[Task], Reply], *, retire: RetireAfter) -> NoReturn:
    """Perform the tasks that come through the channel, until the channel is closed or the process retires.

    Args:
        channel: the horse's end.
        perform: performs a task and returns the reply to it. An exception that it raises ends the process.
        retire: when the process retires.
    """
    random.seed()  # or each horse would draw the same random numbers: it is a copy of the fork server
    state = _ProcessState()
    done = 0
    while True:
        try:
            task = channel.take(Task)
        except EOFError:
            os._exit(0)
        if task is None:
            continue
        os.environ["RQ_JOB_ID"] = task.job_id
        reply = perform(task)
        done += 1
        flush_output()
        retires = not state.restore() or reply.retires or done >= retire.jobs or _is_above(retire.megabytes)
        channel.send(msgspec.structs.replace(reply, retires=True) if retires else reply)
        if retires:
            os._exit(0)


class _ProcessState:
    """The state of the process that each job starts with: signal handlers, working directory, no other threads, no children."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        catchable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        self._handlers = [(int(signum), getsignal(signum)) for signum in catchable]
        self._threads = threading.active_count()

    def restore(self) -> bool:
        """Restore the state after a job. Returns whether that was possible; if not, the process must be replaced."""
        for signum, handler in self._handlers:
            if getsignal(signum) != handler and handler is not None:
                signal.signal(signum, handler)
        try:
            if os.getcwd() != self._folder:
                os.chdir(self._folder)
        except OSError:
            return False
        # A thread or child process of this job would go on during the next job, or be killed with it.
        return threading.active_count() == self._threads and not _has_children()


def _has_children() -> bool:
    """Return whether a child process that a job started is still running. Child processes that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def _is_above(megabytes: int | None) -> bool:
    """Return whether the peak of this process's resident memory is above a limit in MiB."""
    if megabytes is None:
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10) > megabytes
