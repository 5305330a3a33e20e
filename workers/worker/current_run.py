"""The run that a worker has in hand: shared by the main loop, the command thread, the loss watcher and the stop ladder."""

import threading

from rq.executions import Execution

from workers.jobs import StopSign
from workers.scripts import Claim, Run

__all__ = ["CurrentRun"]


class CurrentRun:
    """The run in hand, from its claim until its end is recorded, and everything that is true only as long as it is in hand.

    There is one in the worker, and a copy of it in the horse, where `adopt` sets the run that is performed.
    Assign its attributes by its methods; RQ's code assigns three of them through the worker.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while a run is taken, given to the horse, stopped or released, so that a stop never hits another run.

        It is reentrant: the handler of a second SIGTERM, which kills the horse, may interrupt the main thread while that holds it.
        """
        self.run: Run | None = None
        """The run in hand, until its end is recorded."""
        self.claim: Claim | None = None
        """The claim that the run began with. ``None`` in the horse."""
        self.execution: Execution | None = None
        """RQ's object for the run. It is made only when RQ's code is about to read it."""
        self.stopped_job_id: str | None = None
        """The job, once its run was stopped. RQ resets it when it has recorded that."""
        self.stop_reason = ""
        """Why the run was stopped last."""
        self.early_stop = ""
        """The job that was asked to stop before the answer to its claim arrived."""
        self.horse_pid = 0
        """The process id of the horse while it has the run; otherwise 0."""
        self.stop_sign = StopSign()
        """Tells the job in the horse that it is stopped; its memory is shared with the horse."""
        self.over = threading.Event()
        """Set when the horse no longer has the run."""

    def take(self, claim: Claim) -> Run:
        """Take the run of a claim in hand: from here on it can be stopped."""
        run = Run(claim.job_id, claim.fence)
        with self.lock:
            self.run, self.claim, self.stopped_job_id = run, claim, None
        return run

    def adopt(self, run: Run) -> None:
        """Take a run in hand in the horse, which the worker gave it to."""
        self.run, self.execution, self.stopped_job_id = run, None, None

    def release(self) -> None:
        """Let go of the run: its end is recorded."""
        with self.lock:
            self.run, self.claim, self.early_stop = None, None, ""
        self.execution = None

    def is_current(self, run: Run) -> bool:
        """Return whether this very run is in hand. Another run of the same job is not this one."""
        return self.run is run

    def mark_stopped(self, reason: str) -> None:
        """Record that the run in hand is stopped: whatever its process does now, it ends as stopped."""
        with self.lock:
            if self.run is not None:
                self.stopped_job_id, self.stop_reason = self.run.job_id, reason

    def expect_stop(self, job_id: str) -> None:
        """Record a request to stop a job whose claim the server has granted, and whose answer is still on its way."""
        self.early_stop = job_id

    def prepare_start(self) -> None:
        """Reset what the run before left behind, before the horse gets this one. Call it with the lock held."""
        self.stop_sign.take_down()
        self.over.clear()

    def started(self, horse_pid: int) -> None:
        """Record that the horse has the run. Call it with the lock held."""
        self.horse_pid = horse_pid

    def ended(self) -> None:
        """Record that the horse no longer has the run."""
        with self.lock:
            self.horse_pid = 0
        self.over.set()
