"""Has RQ's code record the end of a run once, together with its event, although the server may go away meanwhile."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import redis

from notify.errors import NotifyError, ServerRefusedError, ServerUnreachableError
from notify.server import Client, retry_while_away
from workers import rq_keys
from workers.jobs import Job, Outcome, attempt_of, failure, owe_on_failure, publish_outcome, reason_in
from workers.queue import RqQueue
from workers.rq import JobStatus, PlainWorker
from workers.scripts import CallbackScripts, JobScripts, RecordScripts
from workers.worker.current_run import CurrentRun
from workers.worker.logs import log_end

__all__ = ["RETRIED", "EndRecording", "outcome_of"]

LEAVE_S: Final = 5.0
"""Seconds for which the horse goes on trying to record an end while the server is away and its worker was asked to end."""
MOST_MISSES: Final = 5
"""So often an end is not recorded although the server answers, before it counts as one that RQ's code cannot record."""
RETRIED: Final = "retried"
"""The status, in an event, of a run after which the job is tried again."""

T = TypeVar("T")


class _RecordedError(Exception):
    """The end was recorded by a transaction whose answer was lost."""


class EndRecording:
    """Wraps the steps of RQ that record the end of a run.

    RQ's code hides some errors of the connection and does not survive the others. A step counts as done when the run is no longer in
    the registry of started jobs: RQ's code removes it there in the transaction that records the end.

    Args:
        worker: the worker, or its copy in the horse.
        current_run: the current run.
        scripts: returns the scripts on the client of the worker or, in the horse, on that of the horse.
        leave: ends the process of the horse without recording anything.
    """

    def __init__(
        self, worker: PlainWorker, current_run: CurrentRun, *, scripts: Callable[[], JobScripts], leave: Callable[[], NoReturn]
    ) -> None:
        self._worker = worker
        self._scripts = scripts
        self._leave = leave
        self._current_run = current_run
        self._publish: Callable[[Any], None] | None = None
        """Publishes the event of the end that is being recorded, in a transaction."""
        self._is_early = False
        self._job: Any = None
        """The job whose end RQ's code records now."""
        self._builds = 0
        """How often RQ's code has built the transaction for that."""
        self._misses, self._missed = 0, ""

    def repeat(self, act: Callable[[bool], T]) -> T:
        """Call a function; in the horse, again until the server answers. If the worker ends meanwhile, the horse ends too.

        Args:
            act: the function. Its argument is true in each repetition.
        """
        if not self._worker.is_horse:
            return act(False)
        sign = self._current_run.leave_sign
        try:
            return retry_while_away(act, name=f"the process of worker {self._worker.name}", leaving=sign, leave_s=LEAVE_S)
        except (NotifyError, redis.RedisError):
            if sign.is_up or self._misses > MOST_MISSES:
                self._leave()  # never raise: RQ's code would take the error for one of the job
            raise

    def begin(self, job: Any, act: Callable[[], object]) -> None:
        """Have RQ's code record in the horse that a run begins; ``act`` calls that code."""

        def attempt(again: bool) -> None:
            run = self._current_run.run
            if again and run is not None and self._scripts().check_run(job.id, fence=run.fence).superseded:
                self._leave()  # another worker has the job by now
            act()

        self.repeat(attempt)

    def record(self, job: Any, queue: Any, outcome: Outcome, act: Callable[[], object], *, is_early: bool = False) -> None:
        """Have RQ's code record an end. In the horse this waits until the server is back.

        Args:
            job: the job.
            queue: its queue.
            outcome: the outcome to publish and log; the status ``retried`` if the job is tried again.
            act: calls RQ's code. It must be safe to call it again if the end was not recorded.
            is_early: publish the event when RQ's code counts the failure, before it puts the job back.

        Raises:
            NotifyError, redis.RedisError: in the worker: the server is away; call again what led here.
        """
        attempt = attempt_of(job) if isinstance(job, Job) else 0  # RQ's code counts the next one
        self._publish, self._is_early = partial(self._publish_outcome, job, outcome) if isinstance(job, Job) else None, is_early
        try:
            self.repeat(partial(self._attempt, job, queue, act))
        finally:
            self._publish = None
        if isinstance(job, Job):
            is_retried = outcome.status == RETRIED
            reason = f"{outcome.reason} (it is tried again)" if is_retried else outcome.reason
            current, status = self._current_run, "failed" if is_retried else outcome.status
            log_end(job, status, reason, seconds=current.seconds, run=current.run, worker=self._worker.name, attempt=attempt)

    def begin_callback(self, job: Any) -> None:
        """Note in the horse that ``on_failure`` is about to be called, if it is: if this process dies then, nobody calls it again."""
        run = self._current_run.run
        if run is not None and job._failure_callback_name and job._status == JobStatus.FAILED:
            self.repeat(lambda _: CallbackScripts(self._client).begin(run))

    def publish_in(self, pipeline: Any, *, is_early: bool = False) -> None:
        """Publish the event of the end in the transaction that records it, if this is the step for that.

        redis-py takes a lost answer to a transaction for a change of a watched key, and RQ's code then builds it once more.

        Raises:
            _RecordedError: the transaction before was carried out.
        """
        if self._job is not None and not is_early:
            self._builds += 1
            if self._builds > 1 and self._is_recorded(self._job):
                raise _RecordedError
        if self._publish is not None and is_early == self._is_early:
            self._publish(pipeline)

    def _attempt(self, job: Any, queue: Any, act: Callable[[], object], again: bool) -> None:
        if (again or self._is_stop(job)) and self._is_recorded(job):  # only the answer was lost, or a reaper did it
            return
        current, attributes = self._current_run, dict(vars(job))
        execution, stopped_job_id = current.execution, current.stopped_job_id
        try:
            self._seal_in_horse(job)
            self._job, self._builds = job, 0
            with queue.due_times.counting_intervals() if isinstance(queue, RqQueue) else nullcontext():  # by the clock of the server
                act()
            if not self._is_recorded(job):
                raise self._problem(job)
        except _RecordedError:
            return
        except (NotifyError, redis.RedisError):
            vars(job).clear()
            vars(job).update(attributes)  # RQ's code counts a retry in the object before it writes it
            current.execution, current.stopped_job_id = execution, stopped_job_id
            raise
        finally:
            self._job = None

    def _problem(self, job: Any) -> NotifyError:
        """Return the error for an end that was not recorded although the server answers: after some attempts, one that is not repeated."""
        fence = "" if self._current_run.run is None else self._current_run.run.fence
        self._misses = self._misses + 1 if fence == self._missed else 1
        self._missed = fence
        if self._misses <= MOST_MISSES:
            return ServerUnreachableError(f"the end of job {job.id} was not recorded: RQ logged why")
        return ServerRefusedError(f"the end of job {job.id} cannot be recorded: RQ logged why, such as a key that holds another type")

    def _seal_in_horse(self, job: Any) -> None:
        """In the horse, seal the run: from now on it cannot be stopped. If it was stopped before, this ends the process instead."""
        run = self._current_run.run
        if self._worker.is_horse and run is not None:
            if not self._scripts().seal_run(job.id, fence=run.fence):
                self._leave()
            job.is_decided = True

    def _is_stop(self, job: Any) -> bool:
        """Whether the worker records a stop. `seal_run` says of any other end whether it is recorded."""
        current = self._current_run
        return not self._worker.is_horse and current.run is not None and current.stopped_job_id == job.id

    def _is_recorded(self, job: Any) -> bool:
        run = self._current_run.run
        if run is None:
            return True
        return self._client.zscore(rq_keys.started(job.origin), f"{run.job_id}:{run.fence}") is None

    def _publish_outcome(self, job: Job, outcome: Outcome, pipeline: Any) -> None:
        name, took_s = self._worker.name, self._current_run.seconds() if self._current_run.began_s else None
        if outcome.status == RETRIED:
            contents = {"status": RETRIED, "reason": outcome.reason}
            RecordScripts(self._client).publish_event(job.origin, job.id, contents, worker=name, pipeline=pipeline, seconds=took_s)
        else:
            publish_outcome(self._client, job, outcome, worker=name, pipeline=pipeline, seconds=took_s)
        run = self._current_run.run
        if not self._worker.is_horse and run is not None and outcome.status in (RETRIED, "failed"):
            owe_on_failure(self._client, job, run, outcome.reason, is_refused=bool(job.problem), pipeline=pipeline)

    @property
    def _client(self) -> Client:
        return Client.of(self._worker.connection)


def outcome_of(job: Any, error: str, *, is_stopped: bool) -> Outcome:
    """Return the outcome of a run that did not finish; `RETRIED` if RQ's code tries the job again.

    Args:
        job: the job.
        error: a traceback or a reason.
        is_stopped: whether the run was stopped.
    """
    reason = reason_in(error)
    if is_stopped:
        return (job.outcome if isinstance(job, Job) else None) or Outcome("stopped", reason)
    return Outcome(RETRIED, reason) if job.should_retry else failure(reason)
