"""Records, in the worker, the ends of runs that the horse did not record itself: stopped, died, unreadable, refused."""

import logging
import os
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.errors import ServerError
from notify.server import is_temporary
from workers import rq_keys
from workers.horse import Death, HorseEnd, Reply
from workers.jobs import JsonSerializer, failure
from workers.rq import DEFAULT_FAILURE_TTL, InvalidJobOperation, JobStatus, utcformat
from workers.scripts import Ended, JobScripts
from workers.worker.callbacks import StoppedCallback
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.logs import log_end
from workers.worker.stop import STOPPED, lost_reason

__all__ = ["EndRecorder"]

ENDED: Final = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED)
"""The statuses of a job after the end of a run; RQ's code writes each of them in the transaction that records the end."""

log = logging.getLogger(__name__)


class EndRecorder:
    """Records the end of the current run, in the worker, by RQ's own methods.

    Each method may be called again if it failed because the server was away. If RQ's code cannot record an end, because somebody spoilt
    a key of the job or of the queue, the job fails in whatever can still be written, and the worker goes on.

    Args:
        worker: the worker, whose methods record.
        current_run: the current run.
        scripts: the scripts, on the client of the worker.
        stopped_callback: calls the ``on_stopped`` callback of a stopped job.
    """

    def __init__(self, worker: FinishingWorker, current_run: CurrentRun, *, scripts: JobScripts, stopped_callback: StoppedCallback) -> None:
        self._worker = worker
        self._current_run = current_run
        self._scripts = scripts
        self.stopped_callback = stopped_callback

    def record(self, job: Any, queue: Any, end: HorseEnd | None) -> None:
        """Record the end of the current run, unless the horse did.

        Args:
            job: the job of the current run.
            queue: its queue.
            end: the reply of the horse, or how its process died; ``None`` if the run was stopped before the horse got it.
        """
        with self._recording(job, queue):
            if isinstance(end, Reply) and end.lost:
                self._current_run.mark_stopped(lost_reason(end.lost))
            if self._current_run.is_cut and self._current_run.stopped_job_id != job.id and not isinstance(end, Reply):
                self.cut(job, queue)
            elif end is None or (isinstance(end, Reply) and end.stopped):
                self.stopped(job, queue)
            elif not isinstance(end, Reply):
                self.died(job, queue, end)
            elif end.problem:
                self.unreadable(job, queue, end.problem)

    def stopped(self, job: Any, queue: Any) -> None:
        """Record that the run was stopped. Call this when its process is dead or has nothing more to do for it."""
        run = self._current_run.run
        if run is not None and self._scripts.hold_run(job.id, fence=run.fence):
            log_end(job, "held", self._current_run.stop_reason, seconds=self._current_run.seconds, run=run, worker=self._worker.name)
            return  # the job is held until the lost service is back, or queued if it is back already
        self._prepare(job, queue)
        if run is not None and not self._scripts.check_run(job.id, fence=run.fence).was_stopped:
            self._remove_traces(job)  # the job was enqueued again after the stop
            return
        self.stopped_callback.call(job, queue)
        self._worker.handle_job_failure(job, queue, exc_string=STOPPED)

    def died(self, job: Any, queue: Any, death: Death) -> None:
        """Record the end of a run whose process died."""
        self._prepare(job, queue)
        if self._current_run.stopped_job_id == job.id:
            self.stopped(job, queue)
            return
        if self._has_ended(job):
            return
        signalled = f" (signal {os.WTERMSIG(death.status)})" if os.WIFSIGNALED(death.status) else ""
        reason = f"Work-horse terminated unexpectedly; waitpid returned {death.status}{signalled}; "
        worker = self._worker
        worker.log.info("Worker %s: job %s failed (%s)", worker.name, job.id, reason)
        worker.handle_work_horse_killed(job, death.pid, death.status, death.rusage)  # type: ignore[no-untyped-call]  # RQ's
        worker.handle_job_failure(job, queue, exc_string=reason)

    def cut(self, job: Any, queue: Any) -> None:
        """Record the end of a run that ended with its worker, which was told to end at once: the job is tried again if it may be."""
        if self.hit(job, queue, f"its worker {self._worker.name} was ended before the job was done"):
            self._current_run.has_cut = True

    def hit(self, job: Any, queue: Any, reason: str) -> bool:
        """Record the end of a run whose process was killed for another reason than the run: the job is tried again if it may be.

        Returns:
            Whether that was to be recorded: false if the run had ended.
        """
        self._prepare(job, queue)
        if self._has_ended(job):
            return False
        self._worker.handle_job_failure(job, queue, exc_string=reason)
        return True

    def _has_ended(self, job: Any) -> bool:
        """Return whether the process recorded the end of the run before it died, or another run has the job by now.

        A run that is tried again has put the job back. The watcher takes such a run for superseded, and kills its process, if that has
        lost the answer of the server and is still asking whether the end is recorded.
        """
        try:
            if job.get_status() not in ENDED and not self._is_superseded(job):
                return False
        except InvalidJobOperation:
            return True  # the job has ended, and its hash has expired
        self._remove_traces(job)
        return True

    def _is_superseded(self, job: Any) -> bool:
        run = self._current_run.run
        return run is not None and self._scripts.check_run(job.id, fence=run.fence).superseded

    def unreadable(self, job: Any, queue: Any, problem: str) -> None:
        """Record that the run could not begin, because the call of the job cannot be read or is too large."""
        self._prepare(job, queue)
        job.retries_left = 0  # it would be refused each time
        self._worker.handle_job_failure(job, queue, exc_string=problem)

    def refused(self, job: Any, queue: Any) -> None:
        """Record the end of a run that ended by itself too late: it was stopped before, or another run has the job."""
        with self._recording(job, queue):
            self._prepare(job, queue)
            run = self._current_run.run
            if self._current_run.stopped_job_id == job.id:
                self.stopped(job, queue)
            elif run is not None and self._scripts.check_run(job.id, fence=run.fence).was_stopped:
                # The run ended by itself just after it was marked as stopped, before its process could be ended.
                self._current_run.mark_stopped(STOPPED)
                with suppress(ServerError):  # whoever cancelled the job waits as long as it could still begin
                    self._scripts.answer_stop(run)
                self.stopped(job, queue)
            else:
                self._remove_traces(job)  # another run has the job

    def finished_with_dependents(self, job: Any, queue: Any, ended: Ended) -> None:
        """Record that a job with dependents finished: RQ's code enqueues them."""
        with self._recording(job, queue):
            self._prepare(job, queue)
            if not self._scripts.seal_run(job.id, fence=ended.run.fence):
                self.refused(job, queue)
                return
            job.started_at, job.ended_at = (datetime.fromtimestamp(at_s, UTC) for at_s in (ended.started_s, ended.ended_s))
            job._result = None if ended.result is None else JsonSerializer.loads(b64decode(ended.result))
            job._status = JobStatus.FINISHED
            self._worker.handle_job_success(job, queue, queue.started_job_registry)

    @contextmanager
    def _recording(self, job: Any, queue: Any) -> Iterator[None]:
        """Record the end of the run key by key, where RQ's code cannot record it in one transaction."""
        try:
            yield
        except Exception as exc:
            if is_temporary(exc):
                raise
            log.exception("worker %s could not record the end of job %s: a key of it or its queue is spoilt", self._worker.name, job.id)
            self._fail_in_what_is_sound(job, queue, f"its end could not be recorded: {exc}")

    def _fail_in_what_is_sound(self, job: Any, queue: Any, reason: str) -> None:
        """Have the job fail unless an end is recorded, with one command per key: a refused one keeps no other from its effect."""
        run = self._current_run.run
        if run is None:
            return
        client, name, execution = self._worker.connection, job.origin or queue.name, f"{job.id}:{run.fence}"
        ended: dict[Any, Any] = {
            "status": "failed",
            "outcome": msgspec.json.encode(failure(reason)),
            "ended_at": utcformat(datetime.now(UTC)),
        }
        has_failed = True
        with suppress(ServerError):  # the hash of the job is spoilt itself
            has_failed = self._scripts.seal_run(job.id, fence=run.fence)
        with client.pipeline(transaction=False) as pipe:
            if has_failed:
                pipe.hset(job.key, mapping=ended)
                pipe.hdel(job.key, "fence")
                pipe.zadd(rq_keys.failed(name), {job.id: time.time() + DEFAULT_FAILURE_TTL})
            pipe.zrem(rq_keys.started(name), execution)
            pipe.delete(rq_keys.execution(execution))
            pipe.zrem(rq_keys.executions(job.id), run.fence)
            pipe.execute(raise_on_error=False)

    def _remove_traces(self, job: Any) -> None:
        """Remove RQ's records of the run: RQ would find them later and take the job for abandoned."""
        with self._worker.connection.pipeline() as pipeline:
            self._worker.cleanup_execution(job, pipeline)
            pipeline.execute()

    def _prepare(self, job: Any, queue: Any) -> None:
        """Set the attributes of the job and the run that RQ's code reads."""
        if not job.origin:  # it cannot be read, if it was written by hand
            job.origin = queue.name
        job.ended_at = datetime.now(UTC)
        self._worker.ensure_execution()
