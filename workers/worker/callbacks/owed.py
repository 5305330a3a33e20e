"""Has the callback of a run called that was killed: by one worker that has the function, between two of its jobs."""

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from notify.errors import ServerError, ServerUnreachableError
from notify.server import Client
from workers.errors import HorseError, JobAbandonedError, JobRefusedError
from workers.horse import Horse, HorseEnd, Reply, Task
from workers.jobs import JobFunctions, lazy_job
from workers.rq import AbandonedJobError, execute_failure_callback, execute_stopped_callback
from workers.scripts import CallbackScripts, Claim, OwedCallback
from workers.worker.callbacks.wait import wait_for_callback
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker

__all__ = ["OwedCallbacks", "call_owed"]

SHOWN_BYTES: Final = 200

log = logging.getLogger(__name__)


class OwedCallbacks:
    """Looks for callbacks that are owed for jobs of the queues of a worker, takes them, and has the horse call them.

    Each is called once, by the worker that takes it off the list; if that worker or the horse is killed then, it is not called again.
    The list is looked at when the renewal of the lease shows a new callback, and when this worker has just recorded that a run was killed.

    Args:
        worker: the worker.
        current_run: its current run; while a callback is called there is none.
        horse: the process that calls the callbacks.
        client: the client of the worker.
        functions: the functions that the worker may run. Callbacks of others are left to other workers.
        wake: called when there is a callback, so that the loop calls `call_all` if it waits for a job.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        *,
        horse: Horse,
        client: Client,
        functions: JobFunctions,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self._worker = worker
        self._current_run = current_run
        self._horse = horse
        self._scripts = CallbackScripts(client)
        self._functions = functions
        self._wake = wake
        self._is_due = threading.Event()
        self._seen: tuple[bytes, ...] = ()
        """The newest callback of each queue when they were looked at last."""

    def hear(self, newest: Sequence[bytes]) -> None:
        """Wake the loop of the worker if there is a new callback. The thread of the lease calls this with what a renewal shows."""
        if any(newest) and tuple(newest) != self._seen:
            self._is_due.set()
            self._wake()

    @property
    def are_due(self) -> bool:
        """Whether there are callbacks to look for: call `call_all` as soon as the horse has nothing to do."""
        return self._is_due.is_set()

    def note_end(self, claim: Claim, end: HorseEnd | None, *, has_stopped: bool = False) -> None:
        """Note that this worker has just recorded the end of a run, whose callback may be owed.

        Args:
            claim, end: the run, and how it ended.
            has_stopped: whether the ``on_stopped`` of a stopped run may be owed as well.
        """
        if has_stopped and claim.fields.get(b"stopped_callback_name"):
            self._is_due.set()
        if claim.fields.get(b"failure_callback_name") and (not isinstance(end, Reply) or end.problem):
            self._is_due.set()

    def call_all(self) -> None:
        """Have those callbacks called that this worker can call, and wait for their end. Call this in the main thread, between two jobs."""
        if not self._is_due.is_set() or self._horse.is_lost or self._current_run.is_cut:
            return
        self._is_due.clear()
        newest = []
        try:
            for queue in self._worker.queue_names():
                listed = self._scripts.owed(queue)
                newest.append(listed[-1] if listed else b"")
                for owed in listed:
                    self._call(queue, owed)
            self._seen = tuple(newest)
        except ServerError as exc:
            log.warning("worker %s could not look for all callbacks of jobs that were killed: %s", self._worker.name, exc)
            if isinstance(exc, ServerUnreachableError):
                self._is_due.set()

    def _call(self, queue: str, raw: bytes) -> None:
        try:
            owed = msgspec.json.decode(raw, type=OwedCallback)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if self._scripts.take(queue, raw, "") is not None:
                log.warning("a callback of queue %s that cannot be read is dropped: %s: %r", queue, exc, raw[:SHOWN_BYTES])
            return
        if owed.function not in self._functions or self._current_run.is_cut:
            return
        fields = self._scripts.take(queue, raw, owed.job)
        if fields is None:
            return
        if not fields:
            log.warning("the %s callback of job %s is not called, because the job is gone", _kind_of(owed), owed.job)
            return
        self._have_called(queue, owed, fields)

    def _have_called(self, queue: str, owed: OwedCallback, fields: dict[bytes, bytes]) -> None:
        worker, current, name = self._worker, self._current_run, f"the {_kind_of(owed)} callback of job {owed.job}"
        job = lazy_job(worker.job_class, owed.job, fields, connection=worker.connection, functions=self._functions)
        try:
            with current.lock:  # from here on a second signal kills it
                current.prepare_start()
                self._horse.give(Task(owed.job, "", queue, fields, owed=owed))
                current.started(self._horse.pid)
            pause_s = worker.job_monitoring_interval
            timeout_s = job.failure_callback_timeout if owed.error else job.stopped_callback_timeout
            wait_for_callback(self._horse, name, timeout_s=timeout_s, pause_s=pause_s, beat=lambda _: self._beat())
        except HorseError as exc:
            log.error("%s cannot be called: %s", name, exc)
        finally:
            current.ended()

    def _beat(self) -> None:
        try:
            self._worker.heartbeat(self._worker.worker_ttl + 60)
        except ServerError as exc:
            log.debug("worker %s sends no heartbeat: %s", self._worker.name, exc)


class _JobAbandonedError(JobAbandonedError, AbandonedJobError):
    """A `JobAbandonedError` that is the error of RQ as well, which callbacks of RQ's users look for."""


def _kind_of(owed: OwedCallback) -> str:
    return "on_failure" if owed.error else "on_stopped"


def call_owed(job: Any, owed: OwedCallback, *, timeouts: type[Any]) -> bool:
    """Call a callback that is owed, in the horse.

    Args:
        job: the job.
        owed: the callback.
        timeouts: RQ's class of timeouts.

    Returns:
        Whether it has returned. An error that it raises is logged.
    """
    error = _JobAbandonedError if owed.error == "abandoned" else JobRefusedError
    try:
        if not owed.error:
            execute_stopped_callback(job, timeouts)
            return True
        try:
            raise error(owed.reason)
        except error:
            execute_failure_callback(job, timeouts, *sys.exc_info())
    except BaseException as exc:  # whatever the callback raises, also `SystemExit`: the end of the run is recorded in any case
        log.warning("the %s callback of job %s ended by %s: %s", _kind_of(owed), job.id, type(exc).__name__, exc)
        return False
    return True
