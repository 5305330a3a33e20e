"""The main loop of a worker: one call of a script per job records the end of the last run and claims the next job."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
import redis

from notify.errors import ServerRefusedError, ServerUnreachableError
from notify.server import Backoff, SingleConnection
from workers.errors import HorseError, JobDefinitionError
from workers.horse import Horse, HorseEnd, Reply, Task
from workers.jobs import JobFunctions, lazy_job
from workers.rq import StopRequested
from workers.scripts import Claim, ClaimScripts, Ended
from workers.worker.background import Background
from workers.worker.callbacks import OwedCallbacks
from workers.worker.claimer import Claimer
from workers.worker.current_run import CurrentRun
from workers.worker.end_waiter import EndWaiter
from workers.worker.finish import FinishingWorker
from workers.worker.idle import BURST_WAIT_S, IdleWait
from workers.worker.logs import log_end, log_start
from workers.worker.record import EndRecorder
from workers.worker.stop import Stopper
from workers.worker.stop_answer import StopAnswer

__all__ = ["ClaimLoop"]

LEAVE_S: Final = 5.0
"""Seconds for which a worker that was asked to end goes on trying to record the end of its last job while Redis is unreachable."""
HEARTBEAT_S: Final = 20.0
"""Seconds between two claims of an idle worker at most: the claim is its heartbeat."""
T = TypeVar("T")

_key = attrgetter("key")

log = logging.getLogger(__name__)


class Returned(msgspec.Struct):
    """A run whose function returned, and whose end is not recorded yet."""

    job: Any
    queue: Any
    ended: Ended


class ClaimLoop:
    """Claims jobs, gives each to the horse, waits for its end, and records the end together with the next claim.

    RQ's own loop calls `next_job` and `execute` in turn. Only `leave` may be called from other threads.

    Args:
        worker: the worker, whose RQ methods do heartbeats, maintenance and the order of the queues.
        current_run: the current run.
        claims: claims jobs for this worker, over ``connection``.
        connection: over which an idle worker waits, too.
        horse: the process that performs the runs.
        stopper: stops a run whose stop was requested before the answer to its claim arrived.
        recorder: records the ends that a claim cannot record.
        background: has the loss watcher that watches the current run.
        callbacks: the callbacks of runs that were killed.
        functions: the functions that the worker may run.
        wait_while_suspended: RQ's function that waits until ``rq resume``. Its argument is true in burst mode: then it raises
            `StopRequested` instead of waiting.
        abandon: ends the run of a job as if this worker had died; see `Claimer`.
        told: called once after `leave`, with whether a job still runs. It may be called in a signal handler.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        *,
        claims: ClaimScripts,
        connection: SingleConnection,
        horse: Horse,
        stopper: Stopper,
        recorder: EndRecorder,
        background: Background,
        callbacks: OwedCallbacks,
        functions: JobFunctions,
        wait_while_suspended: Callable[[bool], None],
        abandon: Callable[[str], None],
        told: Callable[[bool], object] | None = None,
    ) -> None:
        self._worker = worker
        self._current_run = current_run
        self._claims = claims
        self._horse = horse
        self._stopper = stopper
        self._recorder = recorder
        self._background, self._callbacks = background, callbacks
        background.changed = lambda: self._idle.services_changed()
        self._functions = functions
        self._wait_while_suspended = wait_while_suspended
        self._stop_answer = StopAnswer(told)
        self._returned: Returned | None = None
        """The last run, until the next claim records its end."""
        self._is_given = False
        """True if the current run was given to the horse."""
        self._end_waiter = EndWaiter(worker, horse, claims)
        self._idle = IdleWait(worker, connection, shared=worker._client)
        self._overdue = ""
        """A service that a job waits for, if the last claims met an overdue one."""
        self._start = 0
        """Where the next claim begins: after the jobs that the last one left where they are."""
        self._leaving = threading.Event()
        self._claimer = Claimer(worker.name, claims, connection, leaving=self._leaving, abandon=abandon)
        self._refusals = Backoff(log, f"worker {worker.name}")

    def open(self) -> None:
        """Prepare to wait for jobs."""
        self._leaving.clear()  # the worker may have worked before
        self._current_run.leave_sign.take_down()
        self._stop_answer.reset()
        self._idle.open()

    def is_heard(self) -> bool:
        """Return whether the server answers the main thread of the worker. Safe from any thread."""
        return self._claimer.is_heard()

    def wake(self) -> None:
        """End the wait for a job: there is something else to do. Safe from any thread."""
        self._idle.wake()

    def leave(self) -> None:
        """End the wait for a job, and soon give up calls to a server that is away. Safe from any thread and in a signal handler."""
        self._leaving.set()
        self._current_run.leave_sign.put_up()
        self._stop_answer.asked()
        self._idle.wake()

    def close(self) -> None:
        """Close the connection of the claims."""
        self._idle.close()

    def next_job(self, timeout: int | None, max_idle_time: int | None) -> tuple[Any, Any] | None:
        """Claim the next job and give it to the horse; wait for one if there is none.

        Args:
            timeout: ``None`` in burst mode: then this waits only while an overdue service is neither back nor withdrawn.
            max_idle_time: seconds to wait for a job at most; ``None``: no limit.

        Returns:
            The job and its queue; ``None`` if there is no job.

        Raises:
            StopRequested: the worker was asked to end.
            HorseError: the worker must end, because its fork server is gone.
        """
        worker = self._worker
        idle_since = time.monotonic()
        while not worker._stop_requested:
            if self._horse.is_lost:
                raise HorseError(f"worker {worker.name} ends because its fork server was killed: start another worker")
            self._callbacks.call_all()
            try:
                claim = self._next_claim(list(map(_key, worker._ordered_queues)))
            except ServerUnreachableError as exc:  # raised only if the worker was asked to end
                log.warning("worker %s ends while the server is unreachable: %s", worker.name, exc)
                self._returned = None  # else `record_returned` would try it for LEAVE_S once more
                break
            except ServerRefusedError as exc:  # a key of the worker or of the queues was spoilt: the next worker would fare no better
                self._leaving.wait(self._refusals.failed(exc, level=logging.ERROR))
                continue
            self._refusals.over()
            self._overdue = claim.overdue or (self._overdue if self._start else "")
            self._start = claim.queue if claim.answer in ("more", "look") else 0
            if claim.answer == "started":
                return self._begin(claim)
            if claim.answer == "look":
                self.retry_while_away(partial(self._claims.examine_call, claim.job_id))
                continue
            if claim.answer == "suspended":
                self.retry_while_away(lambda: self._wait_while_suspended(timeout is None))
            elif not claim.answer:
                limit_s = math.inf if max_idle_time is None else max_idle_time
                if timeout is None:  # a burst: perhaps no other worker will come to see what becomes of the overdue service
                    limit_s = min(BURST_WAIT_S, limit_s) if self._overdue else 0.0
                left_s = idle_since + limit_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._idle.wait(min(HEARTBEAT_S, left_s), has_left=claim.queue > 0, overdue=self._overdue)
        self._stop_answer.idle()
        raise StopRequested

    def execute(self, job: Any, queue: Any) -> None:
        """Wait for the end of the job that was claimed last, and record the end; if the function returned, the next claim records it.

        Raises:
            JobDefinitionError: the job is not the one that was claimed last.
        """
        claim = self._current_run.claim
        if claim is None or claim.job_id != job.id:
            raise JobDefinitionError(f"job {job.id} was not claimed by this worker: call dequeue_job_and_maintain_ttl() first")
        end = Reply(problem=claim.problem) if claim.problem else self._wait_for_end(job)
        self._stop_answer.job_ended()
        if self._background.loss_watcher is not None:
            self._background.loss_watcher.release()
        if isinstance(end, Reply) and end.ended is not None:
            self._returned = Returned(job, queue, end.ended)
            return
        self.retry_while_away(lambda: self._recorder.record(job, queue, end))
        self._current_run.release()
        self._callbacks.call_after(claim, end)

    def record_returned(self) -> None:
        """Record the end of the last run now, if it is still to be recorded, and claim no job."""
        if self._returned is not None:
            self._next_claim([])

    def retry_while_away(self, act: Callable[[], T]) -> T:
        """Call a function until the server answers, and return its result. Once the worker was asked to end, give up after `LEAVE_S`.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end and the server is still away, or the server refused for good.
        """
        return self._claimer.ask(lambda _: act(), leave_s=LEAVE_S)

    def maintain(self, act: Callable[[], object]) -> None:
        """Do RQ's maintenance, and try again while the server is away. What is spoilt in Redis must not end the worker."""
        try:
            self.retry_while_away(act)
        except (ServerUnreachableError, redis.ConnectionError, redis.TimeoutError):
            raise
        except Exception:
            log.exception("worker %s could not do all of its maintenance", self._worker.name)

    def _begin(self, claim: Claim) -> tuple[Any, Any]:
        """Make the claimed run the current one and give it to the horse. Returns the job and its queue."""
        worker, current = self._worker, self._current_run
        run = current.take(claim)
        self._stop_answer.job_begins()
        if current.early_stop == run.job_id:
            self._stopper.check_run(run)
        if self._background.loss_watcher is not None:
            self._background.loss_watcher.watch(run)
        queue = worker._ordered_queues[claim.queue]
        self._is_given = not claim.problem and self._give(claim, queue)  # first: the job runs while the worker does the rest
        job = lazy_job(worker.job_class, claim.job_id, claim.fields, connection=worker.connection, functions=self._functions)
        worker.reorder_queues(reference_queue=queue)
        log_start(job)
        if worker.log.isEnabledFor(logging.INFO):
            description = claim.fields.get(b"description", b"").decode(errors="replace") if worker.log_job_description else ""
            worker.log.info("Worker %s: %s: %s (%s)", worker.name, queue.name, description, job.id)
        return job, queue

    def _give(self, claim: Claim, queue: Any) -> bool:
        """Give a run to the horse. Returns false if the run was stopped before; then the horse does not get it."""
        current = self._current_run
        with current.lock:  # no stop can come between the check and the start
            if current.stopped_job_id == claim.job_id or current.is_cut:
                return False
            current.prepare_start()
            try:
                self._horse.give(Task(claim.job_id, claim.fence, queue.name, claim.fields))
                current.started(self._horse.pid)
            except HorseError as exc:
                log.debug("%s", exc)  # the fork server is gone: the run ends as `UNKNOWN`, and `next_job` ends the worker
        return True

    def _wait_for_end(self, job: Any) -> HorseEnd | None:
        """Wait for the end of the run. Returns how it ended; ``None`` if the run was stopped before the horse got it."""
        try:
            return self._end_waiter.wait(job) if self._is_given else None
        finally:
            self._current_run.ended()

    def _next_claim(self, queues: Sequence[str]) -> Claim:
        """Record the end of the last run, and claim a job from the queues."""
        while True:
            returned = self._returned
            ended = None if returned is None else returned.ended
            claim = self._claimer.claim(queues, ended=ended, start=self._start, leave_s=LEAVE_S if returned else 0.0)
            if returned is not None:
                self._returned = None
                self._conclude(returned, claim.ended)
            if claim.ended in ("", "finished"):  # otherwise the script only answered about the end: claim again
                return claim

    def _conclude(self, returned: Returned, answer: str) -> None:
        """Log the end of a run, or record it if the claim did not, and release the run. ``answer`` is `Claim.ended`."""
        job, queue, ended = returned.job, returned.queue, returned.ended
        if answer == "finished":
            self._worker.log.info("Worker %s: %s: Job OK (%s)", self._worker.name, queue.name, job.id)
            log_end(job, "finished", seconds=lambda: ended.ended_s - ended.started_s)
        elif answer == "dependents":
            self.retry_while_away(lambda: self._recorder.finished_with_dependents(job, queue, ended))
        else:
            self.retry_while_away(lambda: self._recorder.refused(job, queue))
        self._current_run.release()
