"""What a horse does for its worker: call the function of a job, and have RQ's own code see to all that is not plain."""

import asyncio
import logging
import os
import signal
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from rq.defaults import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from rq.exceptions import DeserializationError
from rq.job import Retry, _job_stack
from rq.timeouts import JobTimeoutException

from notify.errors import ContentsError
from workers.errors import JobError
from workers.horse import INTERRUPT, Channel, JobTimeout, Reply, RetireAfter, Task, flush_output, run_jobs
from workers.jobs import DecodedCall, Job, JobFunctions, JobStopped, JsonSerializer, lazy_job, plain_call
from workers.scripts import Ended, JobScripts, Run
from workers.worker.finish import EndingWorker
from workers.worker.stop import StoppingWorker

__all__ = ["PerformingWorker"]

UNSERIALIZABLE: Final = b64encode(JsonSerializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD))

T = TypeVar("T")

log = logging.getLogger(__name__)


class PerformingWorker(StoppingWorker):
    """An ``rq.Worker`` that performs what its horse is given."""

    death_penalty_class = JobTimeout
    _functions: JobFunctions
    _retire: RetireAfter
    _task: Task
    _channel: Channel
    _is_interruptible = False
    _is_worn = False

    def _ride(self, channel: Channel) -> NoReturn:
        """Be the horse, from its fork to its end."""
        self.setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        self._is_horse = True
        self._client = self.connection = self._client.clone(name=self.name)  # what we inherited is the worker's
        self._scripts = JobScripts(self._client)
        os.environ["RQ_WORKER_ID"] = self.name
        signal.signal(INTERRUPT, self._interrupt)
        self.procline("runs jobs")  # type: ignore[no-untyped-call]  # as above
        self._channel = channel
        run_jobs(channel, self._perform, retire=self._retire)

    def _perform(self, task: Task) -> Reply:
        """Do a run, in the horse."""
        self._task = task
        reply = self._call_on_stopped(task) if task.is_stopped else self._perform_one(task)
        return msgspec.structs.replace(reply, retires=True) if self._is_worn else reply

    def _perform_one(self, task: Task) -> Reply:
        self._run, self._stopped_job_id = Run(task.job_id, task.fence), None
        job = self._job_of(task)
        call = plain_call(task.fields, self._functions) if self._performs_plainly else None
        if call is None:
            return self._perform_by_rq(job, task)
        started_s = time.time()
        try:
            value = self._interruptible(lambda: self._call(job, call))
        except BaseException as exc:  # RQ's code takes whatever a job raises
            return self._perform_by_rq(job, task, _Past(started_s, error=exc))
        ended_s = time.time()
        if isinstance(value, Retry):
            return self._perform_by_rq(job, task, _Past(started_s, value=value))
        return Reply(ended=Ended(self._run, started_s, ended_s, _encode(value)))

    def _job_of(self, task: Task) -> Job:
        known: dict[str, Any] = {"connection": self.connection, "functions": self._functions, "stop_sign": self._stop_sign}
        return lazy_job(self.job_class, task.job_id, task.fields, fence=task.fence, **known)

    @property
    def _performs_plainly(self) -> bool:
        """Whether nobody has put something of his own around the performing of jobs: RQ's users do, in subclasses and patches."""
        own = (self.perform_job, EndingWorker.perform_job), (self.handle_job_success, EndingWorker.handle_job_success)
        return all(getattr(mine, "__func__", None) is theirs for mine, theirs in own) and self.job_class.perform is Job.perform

    def _call(self, job: Job, call: DecodedCall) -> Any:
        penalty = self.death_penalty_class(call.timeout_s, JobTimeoutException, job_id=job.id)  # type: ignore[no-untyped-call]  # RQ leaves it so
        with _current(job), penalty:
            value = call.function(*call.args, **call.kwargs)
            return asyncio.run(value) if asyncio.iscoroutine(value) else value

    def _interrupt(self, *_: object) -> None:
        if self._is_interruptible and self._stop_sign.is_up:
            raise JobStopped("the job is stopped")

    def _interruptible(self, act: Callable[[], T]) -> T:
        """Do something in which the stop of the job may raise `JobStopped`. If it was stopped, this does not return."""
        self._is_interruptible = True
        try:
            return act()
        except JobTimeoutException:
            self._is_worn = True  # who knows what it was in the middle of: nothing else shall run here
            raise
        finally:
            self._is_interruptible = False
            if self._stop_sign.is_up:  # its end is decided, however it came about
                self._leave()

    def _leave(self) -> NoReturn:
        """End, with nothing recorded; but call ``on_stopped`` before, if the worker asks for it."""
        self._is_worn = True
        flush_output()
        if not self._stop_sign.is_up or not self._task.calls_back:
            os._exit(1)
        # What called us is RQ's code, which takes whatever is raised for a failure: so it is never returned to.
        self._channel.send(Reply(stopped=True))
        run_jobs(self._channel, self._perform, retire=self._retire)

    def _call_on_stopped(self, task: Task) -> Reply:
        job = self._job_of(task)
        try:
            with _current(job):
                job.execute_stopped_callback(self.death_penalty_class)
        except BaseException as exc:  # it is the last that runs for the job, and nobody's business how it ends
            self._is_worn = True
            log.warning("the on_stopped callback of job %s ended by %s: %s", task.job_id, type(exc).__name__, exc)
        return Reply()

    def _perform_by_rq(self, job: Any, task: Task, past: "_Past | None" = None) -> Reply:
        """Have RQ perform a job, or see to the end of one that was performed."""
        try:
            job.func_name  # noqa: B018  # reads the job, and its call
        except JobError as exc:
            return Reply(problem=str(exc))
        except DeserializationError as exc:
            return Reply(
                problem=f"the call of job {job.id} cannot be read ({exc.__cause__}): it is no JSON of [function, null, args, kwargs]"
            )
        perform = job.perform if past is None else partial(past.repeat, job)
        job.perform = partial(self._interruptible, perform)
        assert self._run is not None  # noqa: S101  # _perform set it
        self.execution = self._execution_of(self._run)
        queue = self.queue_class(task.queue, connection=self.connection, job_class=self.job_class, serializer=self.serializer)
        with _current(job):  # its callbacks are its code as well
            self.perform_job(job, queue)
        return Reply()


@contextmanager
def _current(job: Job) -> Iterator[None]:
    """Have `current_job` find it."""
    _job_stack.push(job)  # type: ignore[no-untyped-call]  # RQ leaves it untyped
    try:
        yield
    finally:
        _job_stack.pop()  # type: ignore[no-untyped-call]  # as above


def _encode(value: object) -> bytes | None:
    """A result as RQ stores it."""
    if value is None:
        return None
    try:
        return b64encode(JsonSerializer.dumps(value))
    except ContentsError:
        return UNSERIALIZABLE


class _Past:
    """What a function did when it was called, for RQ's code to see it happen."""

    def __init__(self, started_s: float, *, value: Any = None, error: BaseException | None = None) -> None:
        self._started_s, self._value, self._error = started_s, value, error

    def repeat(self, job: Any) -> Any:
        job.started_at = datetime.fromtimestamp(self._started_s, UTC)
        if self._error is not None:
            raise self._error
        return self._value
