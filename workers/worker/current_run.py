"""The current run of a worker, shared by its main loop, its command thread, its loss watcher and the stop ladder."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from workers.jobs import StopSign
from workers.rq import Execution
from workers.scripts import Claim, Run

__all__ = ["CurrentRun", "LeaveSign"]


class LeaveSign(StopSign):
    """A flag in shared memory that can be asked as a ``threading.Event`` is asked."""

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self.is_up


class CurrentRun:
    """The current run, from its claim until its end is recorded, and the state that belongs to it.

    The worker has one, and the horse has a copy of it, in which `adopt` sets the run to perform. Change the attributes by the
    methods only. RQ's code assigns three of them through properties of `FinishingWorker`: ``execution``, ``stopped_job_id``, ``horse_pid``.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while a run is taken, given to the horse, stopped or released, so that a stop never hits another run.

        It is reentrant: a second SIGTERM may interrupt the main thread while it holds the lock, and the handler, which kills the
        horse, takes the lock again.
        """
        self.run: Run | None = None
        """The current run, until its end is recorded."""
        self.claim: Claim | None = None
        """The claim that the run began with. ``None`` in the horse."""
        self.execution: Execution | None = None
        """RQ's object for the run. It is made only when RQ's code is about to read it."""
        self.stopped_job_id: str | None = None
        """The id of the job if the current run was stopped, else ``None``. RQ's code resets it when it has recorded the stop."""
        self.stop_reason = ""
        """Why the run was stopped last."""
        self.early_stops: set[str] = set()
        """The ids of jobs whose stop was requested before their runs became the current one: the answer to a claim was on its way, or
        the horse was further than the worker knew."""
        self.horse_pid = 0
        """The process id of the horse while it has the run; otherwise 0."""
        self.stop_sign = StopSign()
        """Tells the job in the horse that it is being stopped. It lies in memory that the worker shares with the horse."""
        self.sigterm_sign = StopSign()
        """Tells the horse that a SIGTERM is meant for the job: the step of its stop ladder. It lies in shared memory too."""
        self.is_cut = False
        """True once the worker was told to end at once: the run ends with the worker."""
        self.has_cut = False
        """True if a run ended with the worker because of that."""
        self.leave_sign = LeaveSign()
        """Tells the horse that the worker was asked to end. It lies in shared memory too."""
        self.began_s = 0.0
        """When the run began, by ``time.monotonic()``."""
        self.over = threading.Event()
        """Set when the horse no longer has the run."""

    def take(self, claim: Claim) -> Run:
        """Make the run of a claim the current one: from here on it can be stopped."""
        run = Run(claim.job_id, claim.fence)
        with self.lock:
            self.run, self.claim, self.stopped_job_id = run, claim, None
        self.began_s = time.monotonic()
        return run

    def adopt(self, run: Run) -> None:
        """Make a run the current one, in the horse that performs it."""
        self.run, self.execution, self.stopped_job_id = run, None, None
        self.began_s = time.monotonic()

    def seconds(self) -> float:
        """Return for how long the run has lasted."""
        return time.monotonic() - self.began_s

    def release(self) -> None:
        """Forget the run: its end is recorded."""
        with self.lock:
            if self.run is not None:
                self.early_stops.discard(self.run.job_id)
            self.run, self.claim = None, None
        self.execution = None

    @contextmanager
    def standing_in(self, claim: Claim) -> Iterator[None]:
        """Let another run be the current one, which the horse has done with. The horse may be at work on the present one meanwhile."""
        with self.lock:
            before = self.run, self.claim, self.execution, self.stopped_job_id, self.stop_reason, self.horse_pid, self.began_s
            self.run, self.claim, self.execution, self.stopped_job_id = Run(claim.job_id, claim.fence), claim, None, None
            self.horse_pid = 0
        try:
            yield
        finally:
            with self.lock:
                self.early_stops.discard(claim.job_id)
                self.run, self.claim, self.execution, self.stopped_job_id, self.stop_reason, self.horse_pid, self.began_s = before

    def is_current(self, run: Run) -> bool:
        """Return whether a run is the current one; an earlier run of the same job is not."""
        return self.run == run

    def mark_stopped(self, reason: str) -> None:
        """Record that the current run is stopped: whatever its process does now, it ends as stopped."""
        with self.lock:
            if self.run is not None:
                self.stopped_job_id, self.stop_reason = self.run.job_id, reason

    def expect_stop(self, job_id: str) -> None:
        """Record a request to stop a job that the server has given to this worker, while the answer to the claim is still on its way."""
        self.early_stops.add(job_id)

    def take_signs_down(self) -> None:
        """Take the signs of a stop down, before the horse gets another run. Call this with the lock held."""
        self.stop_sign.take_down()
        self.sigterm_sign.take_down()

    def prepare_start(self) -> None:
        """Reset the signs and the end of the run before, before the horse gets this run. Call this with the lock held."""
        self.take_signs_down()
        self.over.clear()

    def started(self, horse_pid: int) -> None:
        """Record that the horse has the run. Call this with the lock held."""
        self.horse_pid = horse_pid

    def ended(self) -> None:
        """Record that the horse no longer has the run."""
        with self.lock:
            self.horse_pid = 0
            self.over.set()
