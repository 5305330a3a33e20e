"""How a run ends: by itself, stopped, or with its process. It is decided once, in Redis, by the fence of the run."""

import logging
import os
import threading
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import rq
from rq.exceptions import InvalidJobOperation
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import JobStatus

from notify.errors import ServerError
from notify.server import Client
from workers import rq_keys
from workers.errors import JobError, JobNotFoundError
from workers.horse import Death
from workers.jobs import Job, JsonSerializer, Outcome, publish_outcome
from workers.scripts import Ended, JobScripts, Run

__all__ = ["EndingWorker"]

STOPPED: Final = "stopped on request"

log = logging.getLogger(__name__)


class EndingWorker(rq.Worker):
    """An ``rq.Worker`` whose runs have one end each. RQ's own code writes all but the plain success, which a claim writes."""

    _client: Client
    _scripts: JobScripts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run: Run | None = None
        """The run in hand, until its end is recorded."""
        self._run_lock = threading.RLock()  # the second SIGTERM may come while its own thread holds it
        self._stop_reason = ""

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any) -> None:
        self._seal_or_leave(job)
        super().handle_job_success(job, queue, started_job_registry)
        self._tell_end(job)

    def handle_job_retry(self, job: Any, queue: Any, retry: Any, started_job_registry: Any, execution: Any) -> None:
        self._seal_or_leave(job)
        super().handle_job_retry(job, queue, retry, started_job_registry, execution)

    def handle_job_failure(self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> None:
        """Record a failure, unless the run was stopped, or another one has the job by now."""
        if self.is_horse:
            self._seal_or_leave(job)
            super().handle_job_failure(job, queue, started_job_registry, exc_string)
            self._tell_end(job)
        elif self._stopped_job_id == job.id:
            super().handle_job_failure(job, queue, started_job_registry, self._stop_reason or exc_string)
            self._tell_end(job)
        elif self._run is None or self._scripts.seal_run(job.id, fence=self._run.fence):
            super().handle_job_failure(job, queue, started_job_registry, exc_string)
            self._tell_end(job)
        else:
            self._end_refused(job, queue)

    def cleanup_execution(self, job: Any, pipeline: Any) -> None:
        super().cleanup_execution(job, pipeline)
        # A worker of plain RQ may have left it there, and would find it later and fail the job, or try it again.
        pipeline.lrem(IntermediateQueue.get_intermediate_queue_key(rq_keys.queue(job.origin)), 1, job.id)

    def _end_with_process(self, job: Any, queue: Any, death: Death) -> None:
        """Record the end of a run whose process died under it."""
        self._prepare_end(job, queue)
        if self._stopped_job_id == job.id:
            self._end_stopped(job, queue)
            return
        try:
            if job.get_status() in (JobStatus.FINISHED, JobStatus.FAILED):
                self._remove_traces(job)  # it, or another run that has the job by now, recorded its end
                return
        except InvalidJobOperation:
            return  # it ended, and its time to live is over
        signalled = f" (signal {os.WTERMSIG(death.status)})" if os.WIFSIGNALED(death.status) else ""
        reason = f"Work-horse terminated unexpectedly; waitpid returned {death.status}{signalled}; "
        self.log.warning("Worker %s: job %s failed (%s)", self.name, job.id, reason)
        self.handle_work_horse_killed(job, death.pid, death.status, death.rusage)  # type: ignore[no-untyped-call]  # RQ leaves it so
        self.handle_job_failure(job, queue, exc_string=reason)

    def _end_unreadable(self, job: Any, queue: Any, problem: str) -> None:
        """Record that a run could not begin: the job says nothing that could be run."""
        self._prepare_end(job, queue)
        self.handle_job_failure(job, queue, exc_string=problem)

    def _end_stopped(self, job: Any, queue: Any) -> None:
        """Record that a run was stopped, when its process is dead or has nothing to do with it any more."""
        if self._run is not None and self._scripts.hold_run(job.id, fence=self._run.fence):
            return  # it was stopped to wait for what it lost
        self._prepare_end(job, queue)
        if self._run is not None and not self._scripts.check_run(job.id, fence=self._run.fence).was_stopped:
            self._remove_traces(job)  # it was enqueued again since it was stopped
            return
        self._call_back(job, queue)
        self.handle_job_failure(job, queue, exc_string=STOPPED)

    def _call_back(self, job: Any, queue: Any) -> None:
        """Have the job's ``on_stopped`` called, once, in a process of its own."""
        raise NotImplementedError

    def _end_refused(self, job: Any, queue: Any) -> None:
        """Record the end of a run that was no longer to end by itself."""
        self._prepare_end(job, queue)
        if self._stopped_job_id == job.id:
            self._end_stopped(job, queue)
        elif self._run is not None and self._scripts.check_run(job.id, fence=self._run.fence).was_stopped:
            # The run ended by itself just after it was marked, before anybody could end it.
            self._stopped_job_id, self._stop_reason = job.id, STOPPED
            self._end_stopped(job, queue)
        else:
            self._remove_traces(job)  # another run has the job

    def _remove_traces(self, job: Any) -> None:
        """Remove what there is of the run itself: RQ would find it later and take the job for abandoned."""
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline)
            pipeline.execute()

    def _end_with_dependents(self, job: Any, queue: Any, ended: Ended) -> None:
        """Record that a job finished for which others wait: RQ releases them."""
        self._prepare_end(job, queue)
        if not self._scripts.seal_run(job.id, fence=ended.run.fence):
            self._end_refused(job, queue)
            return
        job.started_at, job.ended_at = (datetime.fromtimestamp(at_s, UTC) for at_s in (ended.started_s, ended.ended_s))
        job._result = None if ended.result is None else JsonSerializer.loads(b64decode(ended.result))
        job._status = JobStatus.FINISHED
        super().handle_job_success(job, queue, queue.started_job_registry)
        self._tell_end(job)

    def _prepare_end(self, job: Any, queue: Any) -> None:
        """See to it that RQ's code finds what it reads of a job and of its run."""
        try:
            job.origin  # noqa: B018  # reads the job
        except JobError:  # a stranger wrote it; from here on it has nothing but its id
            job.origin = queue.name
        job.ended_at = datetime.now(UTC)
        if self.execution is None and self._run is not None:
            self.execution = self._execution_of(self._run)

    def _execution_of(self, run: Run) -> Execution:
        return Execution(run.fence, run.job_id, self.connection, self.name)

    def _seal_or_leave(self, job: Any) -> None:
        """In the child: decide that the run ends as it did. If it was stopped before, this process has nothing more to say."""
        if self.is_horse and self._run is not None:
            if not self._scripts.seal_run(job.id, fence=self._run.fence):
                self._leave()
            job.is_decided = True

    def _leave(self) -> NoReturn:
        """In the child: end, with nothing recorded."""
        os._exit(1)

    def _tell_end(self, job: Any) -> None:
        """Publish how a job ended, where RQ's code recorded it; what the scripts record they tell as well."""
        if not isinstance(job, Job):
            return  # RQ's own, which somebody gave to the method of RQ that calls this
        try:
            outcome = job.outcome
            if outcome is None:  # it failed, and is tried again
                outcome = Outcome("failed", "it is tried again")
            publish_outcome(self._client, job, outcome, source=self.name)
        except (ServerError, JobNotFoundError) as exc:
            log.warning("worker %s could not tell the end of job %s: %s", self.name, job.id, exc)
