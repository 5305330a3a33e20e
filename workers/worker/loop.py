"""Job after job: take one and record how the last one ended in the same step, and have the horse run it."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis
from rq.exceptions import StopRequested

from notify.errors import ServerError, ServerUnreachableError
from notify.server import retry_while_away
from workers.errors import HorseError, JobDefinitionError
from workers.horse import UNKNOWN, HorseEnd, Reply, Task
from workers.jobs import lazy_job
from workers.loss import LossWatcher
from workers.scripts import Claim, ClaimScripts, Ended
from workers.worker.perform import PerformingWorker
from workers.worker.waiter import JobWaiter

__all__ = ["RunningWorker"]

LEAVE_S: Final = 5.0
"""How long a worker that was told to end still tries to record the end of its last job on a server that is away."""
LOOK_S: Final = 20.0
"""How long a worker waits for a job before it says that it is there."""
OVERDUE_S: Final = 60.0
"""A job that is so much later than its timeout does not mean to end."""
CALLBACK_OVERDUE_S: Final = 2.0
"""The same of a callback."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class RunningWorker(PerformingWorker):
    """An ``rq.Worker`` that sends one command per job."""

    _claims: ClaimScripts
    _waiter: JobWaiter | None
    _loss_watcher: LossWatcher | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended: tuple[Any, Any, Ended] | None = None
        """Job, queue and end of the last run, while that is to be recorded."""
        self._is_given = False
        """Whether the horse has the job in hand."""
        self._called_back: Claim | None = None
        """The last whose ``on_stopped`` was called."""
        self._leaving = threading.Event()

    def check_for_suspension(self, burst: bool) -> None:
        """Nothing: a claim finds out, in the same step."""

    def run_maintenance_tasks(self) -> None:
        self._record_end()  # they take their time
        run = super().run_maintenance_tasks
        self._retry_while_away(lambda _: run())  # type: ignore[no-untyped-call]  # RQ leaves it untyped

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Send a heartbeat, unless it is the one that RQ's loop sends after each job: the next claim is one."""
        if timeout is not None or pipeline is not None:
            super().heartbeat(timeout, pipeline)

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Take the next job and have the horse start it; wait for one, unless in a burst."""
        idle_since = time.monotonic()
        while not self._stop_requested:
            if self._horse.is_lost:
                raise HorseError(f"worker {self.name} ends: the process that forks those of its jobs was killed")
            try:
                claim = self._next_claim([queue.key for queue in self._ordered_queues])
            except ServerUnreachableError as exc:  # it is given up only when we are to end
                log.warning("worker %s ends without an answer: %s", self.name, exc)
                self._ended = None  # or it would be tried for as long again when we leave
                break
            if claim.answer == "started":
                return self._begin(claim)
            if claim.answer == "suspended":
                wait = super().check_for_suspension
                self._retry_while_away(lambda _: wait(burst=timeout is None))  # noqa: B023  # called at once
            elif not claim.answer:
                idle_s = time.monotonic() - idle_since
                if timeout is None or (max_idle_time is not None and idle_s >= max_idle_time):
                    return None
                self._wait_for_job(LOOK_S if max_idle_time is None else min(LOOK_S, max_idle_time - idle_s))
        raise StopRequested

    def execute_job(self, job: Any, queue: Any) -> None:
        """Wait for the end of the job that was taken last, and see to it."""
        claim = self._in_hand
        if claim is None or claim.job_id != job.id:
            raise JobDefinitionError(f"job {job.id} was not taken by this worker: dequeue_job_and_maintain_ttl() does that")
        end = Reply(problem=claim.problem) if claim.problem else self._end_in_horse(job)
        if self._loss_watcher is not None:
            self._loss_watcher.release()
        if isinstance(end, Reply) and end.ended is not None:
            self._ended = (job, queue, end.ended)  # recorded together with the next claim
            return
        self._retry_while_away(lambda _: self._end(job, queue, end))
        self._let_go()

    def _begin(self, claim: Claim) -> tuple[Any, Any]:
        run = self._take_in_hand(claim)
        if self._loss_watcher is not None:
            self._loss_watcher.watch(run)
        queue = self._ordered_queues[claim.queue]
        self._is_given = not claim.problem and self._give(claim, queue)  # first: the rest, and RQ's loop, takes its time while the job runs
        job = lazy_job(self.job_class, claim.job_id, claim.fields, connection=self.connection, functions=self._functions)
        self.reorder_queues(reference_queue=queue)
        if self.log.isEnabledFor(logging.INFO):
            what = claim.fields.get(b"description", b"").decode(errors="replace") if self.log_job_description else ""
            self.log.info("Worker %s: %s: %s (%s)", self.name, queue.name, what, job.id)
        return job, queue

    def _give(self, claim: Claim, queue: Any) -> bool:
        """Have the horse do a run. Returns whether it was not stopped before it began."""
        with self._run_lock:
            if self._stopped_job_id == claim.job_id:
                return False
            self._stop_sign.take_down()
            self._over.clear()
            with suppress(HorseError):  # nothing can be forked any more: whoever waits for the end finds that out
                self._horse.give(Task(claim.job_id, claim.fence, queue.name, claim.fields))
                self._horse_pid = self._horse.pid
        return True

    def _end_in_horse(self, job: Any) -> HorseEnd | None:
        """Wait for the end of the run. Returns how it ended; ``None`` if it was stopped before it began."""
        try:
            return self._wait_for_end(job) if self._is_given else None
        except HorseError:
            return UNKNOWN
        finally:
            with self._run_lock:
                self._horse_pid = 0
            self._over.set()

    def _wait_for_end(self, job: Any) -> HorseEnd:
        began = time.monotonic()
        while (end := self._horse.wait(self.job_monitoring_interval)) is None:
            working_s = time.monotonic() - began
            with suppress(redis.RedisError):  # the job goes on while the server is away
                self._show_signs_of_life(job, working_s)
            if job.timeout and 0 < job.timeout < working_s - OVERDUE_S:
                self.kill_horse()
        return end

    def _show_signs_of_life(self, job: Any, working_s: float) -> None:
        if self.execution is None and self._run is not None:
            self.execution = self._execution_of(self._run)
        self.set_current_job_working_time(working_s)
        self.maintain_heartbeats(job)

    def _call_back(self, job: Any, queue: Any) -> None:
        """Have ``on_stopped`` called: by the horse that ran the job, if it is still there, else by a new one."""
        claim = self._in_hand
        if claim is None or self._called_back is claim:  # the end is tried again: the server was away
            return
        self._called_back = claim
        task = Task(claim.job_id, claim.fence, queue.name, claim.fields, is_stopped=True)
        if task.calls_back:
            try:
                self._horse.give(task)
                self._wait_for_callback(job)
            except HorseError as exc:
                log.error("the on_stopped callback of job %s cannot be called: %s", job.id, exc)

    def _wait_for_callback(self, job: Any) -> None:
        timeout_s = job.stopped_callback_timeout
        began, limit_s = time.monotonic(), timeout_s + CALLBACK_OVERDUE_S if timeout_s > 0 else math.inf
        while (end := self._horse.wait(min(self.job_monitoring_interval, limit_s))) is None:
            if time.monotonic() - began >= limit_s:
                self._horse.kill()
            with suppress(redis.RedisError):
                self._show_signs_of_life(job, time.monotonic() - began)
        if not isinstance(end, Reply):
            log.warning("the process of the on_stopped callback of job %s died: waitpid returned %d", job.id, end.status)

    def _end(self, job: Any, queue: Any, end: HorseEnd | None) -> None:
        if end is None or (isinstance(end, Reply) and end.stopped):
            self._end_stopped(job, queue)
        elif not isinstance(end, Reply):
            self._end_with_process(job, queue, end)
        elif end.problem:
            self._end_unreadable(job, queue, end.problem)

    def _record_end(self) -> None:
        if self._ended is not None:
            self._next_claim([])

    def _next_claim(self, queues: Sequence[str]) -> Claim:
        """Record the end of the last run, and take a job of the queues."""
        while True:
            fence, ended = os.urandom(16).hex(), self._ended
            end = None if ended is None else ended[2]
            claim = retry_while_away(
                lambda again: self._claims.claim(queues, fence=fence, ended=end, again=again),  # noqa: B023  # called at once
                name=f"worker {self.name}",
                leaving=self._leaving,
                leave_s=LEAVE_S if ended else 0.0,
            )
            if ended is not None:
                self._ended = None
                self._conclude(*ended, claim.ended)
            if claim.ended in ("", "finished"):
                return claim

    def _conclude(self, job: Any, queue: Any, ended: Ended, taken: str) -> None:
        if taken == "finished":
            self.log.info("Worker %s: %s: Job OK (%s)", self.name, queue.name, job.id)
        elif taken == "dependents":
            self._retry_while_away(lambda _: self._end_with_dependents(job, queue, ended))
        else:
            self._retry_while_away(lambda _: self._end_refused(job, queue))
        self._let_go()

    def _wait_for_job(self, timeout_s: float) -> None:
        self.procline("Listening on " + ",".join(self.queue_names()))  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        if self._waiter is None:
            self._waiter = JobWaiter(self._client, name=self.name)
        bell = self._waiter
        try:
            bell.wait([queue.key for queue in self._ordered_queues], timeout_s=timeout_s)
        except ServerError as exc:
            log.warning("%s; trying again", exc)  # the claim that comes next waits for the server

    def _retry_while_away(self, act: Callable[[bool], T]) -> T:
        return retry_while_away(act, name=f"worker {self.name}", leaving=self._leaving, leave_s=LEAVE_S)
