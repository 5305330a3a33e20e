"""RQ's methods that record the end of a run, guarded by the fence of the run, so that a run ends once."""

import logging
import os
import signal
from contextlib import suppress
from typing import Any, NoReturn

from notify.errors import ServerError
from notify.server import Client
from workers import rq_keys
from workers.jobs import Outcome, failure, kept_traceback
from workers.rq import Execution, IntermediateQueue, PlainWorker, first_execution, now, with_execution
from workers.scripts import JobScripts, Run, RunScripts
from workers.worker.current_run import CurrentRun
from workers.worker.maintenance import clean_registries
from workers.worker.recording import RETRIED, EndRecording, outcome_of

__all__ = ["FinishingWorker"]

log = logging.getLogger(__name__)


def _of_current_run(name: str) -> Any:
    """Return a property of a worker that is an attribute of its current run."""
    return property(lambda worker: getattr(worker._current_run, name), lambda worker, value: setattr(worker._current_run, name, value))


def _send_heartbeat(worker: Any, job: Any, run: Run) -> None:
    """Record that a run is still going on, if the server is there."""
    lives_s = {"ttl_s": worker.get_heartbeat_ttl(job), "worker_ttl_s": worker.job_monitoring_interval + 60}
    with suppress(ServerError):  # the job goes on, and another heartbeat comes
        RunScripts(worker._client).heartbeat(worker.name, job.origin, run, working_s=worker.current_job_working_time, **lives_s)


class FinishingWorker(PlainWorker):
    """An ``rq.Worker`` that records the end of a run only if no other end was recorded before.

    RQ's code records every end except a plain success, which the next claim records. The same class serves in the worker and,
    after `become_horse`, in the horse.

    Args:
        queues, name, rq_options: as for ``rq.Worker``, without ``connection``.
        client: the client of this worker. Its threads share it.
        connects: whether the constructor may connect, as that of RQ does.
    """

    def __init__(self, queues: Any, name: str, *, client: Client, connects: bool = True, **rq_options: Any) -> None:
        self._current_run = CurrentRun()  # first: RQ's constructor assigns the three properties below
        self._may_connect, self.ip_address = connects, "unknown"
        self._describes = not rq_options.get("prepare_for_work", True)
        super().__init__(queues, name, connection=client, **rq_options)
        self._client = client
        self._scripts = JobScripts(client)
        self._recording = EndRecording(self, self._current_run, scripts=lambda: self._scripts, leave=lambda: self.leave_horse())

    def _set_ip_address(self, connection: Any) -> None:
        if self._may_connect:  # else it is unknown until the worker works
            with connection.translating("asking for the address of the worker"):
                super()._set_ip_address(connection)

    def _set_connection(self, connection: Any) -> Any:
        return connection  # RQ makes its timeout minutes long, in order to wait for jobs on it

    @property
    def execution(self) -> Execution | None:
        """RQ's object for the current run; RQ's code reads and resets it."""
        return self._current_run.execution or first_execution(self, may_ask=self._describes)

    @execution.setter
    def execution(self, execution: Execution | None) -> None:
        self._current_run.execution = execution

    _stopped_job_id = _of_current_run("stopped_job_id")  # this and the next are RQ's own attributes: its code reads and assigns them
    _horse_pid = _of_current_run("horse_pid")

    def become_horse(self) -> None:
        """Turn this copy of the worker into that of the horse, with a client of its own, which is not connected yet."""
        self._is_horse = True
        self._client = self.connection = self._client.clone(name=self.name, is_shared=True)
        self._scripts = JobScripts(self._client)

    def ensure_execution(self) -> None:
        """Create RQ's object for the current run, unless there is one. Plain runs do without it, which saves time."""
        run = self._current_run.run
        if self._current_run.execution is None and run is not None:
            self.execution = Execution(run.fence, run.job_id, self.connection, self.name)

    def send_run_heartbeat(self, job: Any, working_s: float) -> None:
        """Record that a job is still running, and for how many seconds. While the server is away, do nothing: the job goes on.

        RQ's own heartbeats write the time of this host, by which other hosts would take the run for abandoned.
        """
        if self._current_run.run is not None:
            self.current_job_working_time = working_s
            _send_heartbeat(self, job, self._current_run.run)

    def clean_registries(self) -> None:
        """Do RQ's maintenance of the registries of the queues, by the clock of the server."""
        clean_registries(self)

    def prepare_job_execution(self, job: Any, remove_from_intermediate_queue: bool = False) -> None:
        """Record in the horse that a job begins. While the server is away, the job waits."""
        prepare = super().prepare_job_execution
        self._recording.begin(job, lambda: prepare(job, remove_from_intermediate_queue))

    def handle_execution_ended(self, job: Any, queue: Any, heartbeat_ttl: int) -> None:
        """Note in the horse when a job ended, before its callback is called. While the server is away, the callback waits."""
        job.ended_at = now()
        self._recording.repeat(lambda _: job.heartbeat(now(), heartbeat_ttl))
        self._recording.begin_callback(job)

    def handle_job_success(self, job: Any, queue: Any, started_job_registry: Any, execution: Any = None) -> None:
        """Record that a job finished, and enqueue its dependents."""
        record = with_execution(super().handle_job_success, self._current_run.execution or execution)
        self._recording.record(job, queue, Outcome("finished"), lambda: record(job, queue, started_job_registry))

    def handle_job_retry(self, job: Any, queue: Any, retry: Any, started_job_registry: Any, execution: Any) -> None:
        """Record that a job returned `rq.Retry`, and enqueue or schedule it again."""
        record = super().handle_job_retry
        is_over = bool(job.number_of_retries and job.number_of_retries >= retry.max)  # as RQ decides
        outcome = failure("") if is_over else Outcome(RETRIED, "it returned Retry")
        self._recording.record(
            job, queue, outcome, lambda: record(job, queue, retry, started_job_registry, execution), is_early=not is_over
        )

    def handle_job_failure(
        self, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "", execution: Any = None
    ) -> None:
        """Record a failure, or that the run was stopped. In the worker, an end that comes too late goes to `handle_refused_end`."""
        current, record = self._current_run, with_execution(super().handle_job_failure, self._current_run.execution or execution)
        is_stopped = current.stopped_job_id == job.id
        exc_string = kept_traceback((current.stop_reason if is_stopped else "") or exc_string)
        if not is_stopped and not self.is_horse and current.run is not None and not self._scripts.seal_run(job.id, fence=current.run.fence):
            self.handle_refused_end(job, queue)
            return
        outcome = outcome_of(job, exc_string, is_stopped=is_stopped)
        self._recording.record(job, queue, outcome, lambda: record(job, queue, started_job_registry, exc_string))

    def increment_failed_job_count(self, pipeline: Any = None) -> None:
        self._recording.publish_in(pipeline, is_early=True)  # RQ's first step when a job returned `rq.Retry`
        super().increment_failed_job_count(pipeline)

    def handle_refused_end(self, job: Any, queue: Any) -> None:
        """Record, in the worker, the end of a run that may no longer end by itself. The default records nothing."""

    def cleanup_execution(self, job: Any, pipeline: Any, execution: Any = None) -> None:
        """Add to the transaction that records an end what removes the run, and the event of the end."""
        self.ensure_execution()  # without it RQ's code would leave the run in its registry
        execution = self._current_run.execution or execution
        with_execution(super().cleanup_execution, execution)(job, pipeline)
        if self._current_run.run is not None:
            self.execution = execution  # RQ's code forgets it, and does without it when it builds the transaction once more
        # A worker of plain RQ may have left the job in that list. RQ's maintenance would find it there, and fail it or try it again.
        pipeline.lrem(IntermediateQueue.get_intermediate_queue_key(rq_keys.queue(job.origin)), 1, job.id)
        self._recording.publish_in(pipeline)

    def setup_work_horse_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as RQ does; RQ would also reset the handler for SIGTERM

    def leave_horse(self) -> NoReturn:
        """End the process of the horse without recording anything."""
        os._exit(1)
