"""The RQ-compatible part of a queue: every method of RQ that creates or enqueues a job does so with a `workers.Job`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import redis

from notify.errors import ContentsError, NotifyError
from notify.process import UNTRACED, is_traced, producing
from notify.server import LONGEST_TTL_S, Client
from notify.values import encode_json, is_text
from workers.errors import DuplicateJobError, JobArgumentsError, JobDefinitionError, JobTooLargeError
from workers.jobs import Definition, Job, JsonSerializer, definition_of, is_new
from workers.queue.admit import AdmittingScripts
from workers.queue.dependencies import checking_dependents, met_in
from workers.queue.due import DueTimes, put_on_schedule
from workers.queue.encode import check_arguments, check_call
from workers.queue.registries import just_taken_jobs, scheduled_jobs, started_jobs
from workers.rq import DEFAULT_FAILURE_TTL, DependentsQueue, TimeoutFormatError, is_rate_limited
from workers.scripts import Admission, Condition, NewJob, too_large

__all__ = ["RqQueue", "check_function", "checked_job", "new_job_of", "translating"]

QUEUED: Final = Admission("queued", "", b"")
"""Stands for the admission of a job that is enqueued in a pipeline: the real one is not known before the pipeline is executed."""


class RqQueue(DependentsQueue):
    """An ``rq.Queue`` whose jobs are `Job` objects, whichever method of RQ creates them."""

    job_class = Job
    started_job_registry = property(started_jobs)
    scheduled_job_registry = property(scheduled_jobs)
    intermediate_queue = property(just_taken_jobs)

    def __init__(self, name: str = "default", connection: redis.Redis | None = None, **rq_options: Any) -> None:
        if connection is None:
            raise JobDefinitionError(f"the queue {name!r} needs a connection: Queue({name!r}, connection=bus.redis)")
        if not name or not is_text(name):
            raise JobDefinitionError(f"the name of a queue is {name!r}: give a text that is not empty, without halves of surrogate pairs")
        with translating(Client.of(connection), name, "a job"):
            super().__init__(name, connection, **{**rq_options, "serializer": JsonSerializer})
        check_timeout(self._default_timeout, f"the default timeout of {name!r}")
        if not issubclass(self.job_class, Job):
            raise JobDefinitionError(f"job_class is {self.job_class!r}, no workers.Job: leave it out, or derive it from workers.Job")
        self._client = Client.of(connection)
        self._enqueue_scripts = AdmittingScripts(self._client)
        self.due_times = DueTimes(self._client)

    def enqueue_job(self, job: Any, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Any:
        """Put an existing job on the queue; arguments as for ``rq.Queue``, errors as for `enqueue`."""
        is_plain = isinstance(job, Job) and not job._dependency_ids and not check_rate_limit(job, queue=self.name)
        if pipeline is not None or not self._is_async or not is_plain:
            return super().enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        if unique and not job._id:
            raise JobDefinitionError(f"{job.func_name} cannot be enqueued on {self.name!r}: a unique job needs an id, give job_id=")
        return self._enqueue_async_job(job, at_front=at_front, unique=unique)

    def enqueue_call(self, func: Any, *args: Any, **options: Any) -> Any:
        """Enqueue a call whose arguments are given as ``args`` and ``kwargs``, as for ``rq.Queue``; errors as for `enqueue`."""
        with translating(self._client, self.name, func):
            return super().enqueue_call(func, *args, **options)

    def create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Create a job of a marked function; arguments and errors as for `enqueue`."""
        with translating(self._client, self.name, func):
            return _create_job(self, func, args, kwargs)

    def schedule_job(self, job: Any, datetime: Any, pipeline: Any = None, unique: bool = False) -> Any:
        """Schedule a job for a time, as for `enqueue_at`. A loss of a service counts from now on; earlier losses do not count."""
        due = self.due_times.of(datetime)
        if not isinstance(job, Job):
            return super().schedule_job(job, due, pipeline=pipeline, unique=unique)
        check_rate_limit(job, queue=self.name)
        job.admit()  # only records serials: the claim checks whether a service is missing or was lost since
        with producing("schedule", self.name, attributes={"message.id": job.id}) if is_traced() and is_new(job) else UNTRACED:
            if unique:
                super().schedule_job(job, due, unique=True)
            else:
                put_on_schedule(self, job, due, pipeline)
            self._index(job, pipeline)
        return job

    def enqueue_in(self, time_delta: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Schedule a call for after a ``timedelta``, by the clock of the server; other arguments and errors as for `enqueue_at`."""
        with translating(self._client, self.name, func):
            return self.enqueue_at(self.due_times.after(time_delta), func, *args, **kwargs)

    def setup_dependencies(self, job: Any, pipeline: Any = None) -> Any:
        """Defer a job until the jobs that it depends on have ended; as for ``rq.Queue``."""
        waiting = super().setup_dependencies(job, pipeline=pipeline)
        if isinstance(job, Job) and job._dependency_ids:
            self._index(job, pipeline)
        return waiting

    def releasing(self, job: Any, pipeline: Any) -> AbstractContextManager[None]:
        return met_in(pipeline, job) if pipeline is not None else checking_dependents(self._client, job)

    def _index(self, job: Job, pipeline: Any) -> None:
        self._enqueue_scripts.index_needs(job.id, pipeline)

    def _enqueue_async_job(self, job: Any, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Any:
        if not isinstance(job, Job):
            return super()._enqueue_async_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        admission = self._put(job, at_front=at_front, condition="unique" if unique else "", pipeline=pipeline)
        if admission.status == "refused":
            raise DuplicateJobError(f"there is a job {job.id!r} already, and unique=True was given: give another job_id")
        return job

    def _put(self, job: Job, *, at_front: bool = False, condition: Condition = "", pipeline: Any = None) -> Admission:
        self._prepare_for_queue(job)
        new_job = new_job_of(job, condition, at_front=at_front)
        if pipeline is not None:
            self._enqueue_scripts.enqueue_later(pipeline, self.name, new_job)
            return QUEUED
        (admission,) = self._enqueue_scripts.enqueue(self.name, [new_job])
        job.take_up(admission.status, admission.needs)
        return admission


@contextmanager
def translating(client: Client, queue: str, func: object) -> Iterator[None]:
    """Raise errors of RQ and redis-py from the block, which enqueues a call, as errors of this package."""
    try:
        with client.translating(f"enqueueing on {queue!r}"):
            yield
    except NotifyError:
        raise
    except (ValueError, TypeError, AttributeError, AssertionError, OverflowError, TimeoutFormatError) as exc:
        raise JobDefinitionError(f"{getattr(func, '__qualname__', func)} cannot be enqueued on {queue!r}: {exc}") from exc


def check_function(func: object, *, queue: str) -> Definition | None:
    """Return the definition of a marked function; ``None`` for a dotted path, which only the worker can check.

    Raises:
        JobDefinitionError: the function is not marked; the message names the queue to mark it for.
    """
    definition = definition_of(func)
    if definition is None and not isinstance(func, str):
        raise JobDefinitionError(f"{getattr(func, '__qualname__', func)!r} is no job: mark it with @job({queue!r})")
    return definition


def _create_job(queue: RqQueue, func: Any, args: Any, options: dict[str, Any]) -> Job:
    definition = check_function(func, queue=queue.name)
    for option in ("on_success", "on_failure", "on_stopped"):
        callback = options.get(option)
        check_function(getattr(callback, "func", callback) or "", queue=queue.name)
    job = checked_job(DependentsQueue.create_job(queue, func, *args, **options))
    if job.failure_ttl is None:
        job.failure_ttl = DEFAULT_FAILURE_TTL  # without it RQ keeps the results of failed jobs for ever
    _check_times(job)
    if definition is not None:
        job.accept(definition.requirements)
        job.bind({str(job.func_name): func})
    _check_arguments(job, max_bytes=queue._client.settings.max_payload_bytes)
    if definition is not None:
        check_call(func, job.args, job.kwargs, job.data)
    return job


def check_rate_limit(job: Job, *, queue: str) -> bool:
    """Return whether a job has a rate limit of RQ 3.

    Raises:
        JobDefinitionError: it also needs services: their loss would leave it without its place within the limit.
    """
    if not is_rate_limited(job):
        return False
    if job.needs:
        raise JobDefinitionError(
            f"{job.func_name} cannot be enqueued on {queue!r}: it has a rate limit and needs services ({', '.join(job.needs)}), "
            "give one of the two"
        )
    return True


def _check_times(job: Job) -> None:
    """Raise `JobDefinitionError` for a time or a count of RQ's options that Redis or the operating system could not hold."""
    what = job.func_name
    check_timeout(job.timeout, f"the timeout of {what}")
    for name, least, meaning in (("ttl", 1, ""), ("result_ttl", -1, "-1 for ever, "), ("failure_ttl", -1, "-1 for ever, ")):
        value = getattr(job, name)
        if value is not None and not least <= value <= LONGEST_TTL_S:
            raise JobDefinitionError(f"{name} of {what} is {_short(value)} s: give {meaning}{max(least, 0)} to {LONGEST_TTL_S}")
    for name in ("retries_left", "repeats_left"):
        value = getattr(job, name)
        if value is not None and not 0 <= value <= LONGEST_TTL_S:
            raise JobDefinitionError(f"{what} is to be tried or repeated {_short(value)} times: give at most {LONGEST_TTL_S}")
    for interval_s in (*(job.retry_intervals or ()), *(job.repeat_intervals or ())):
        if not 0 <= interval_s <= LONGEST_TTL_S:
            raise JobDefinitionError(f"an interval of {what} is {_short(interval_s)} s: give 0 to {LONGEST_TTL_S}")


def check_timeout(timeout_s: float | None, what: str) -> None:
    """Raise `JobDefinitionError` for a timeout to which the operating system cannot set an alarm; ``what`` it is of, in words."""
    if timeout_s is not None and not (timeout_s == -1 or 0 < timeout_s <= LONGEST_TTL_S):
        raise JobDefinitionError(f"{what} is {_short(timeout_s)} s: give 1 to {LONGEST_TTL_S}, or -1 for none")


def _short(number: float) -> str:
    """Return a number in words of an error: a huge one as a power of ten."""
    return str(number) if abs(number) < 10**20 else f"about 10 to the power of {len(hex(int(number))) * 1.2:.0f}"


def _check_arguments(job: Job, *, max_bytes: int) -> None:
    if job.meta:
        try:
            encode_json(job.meta, what=f"the meta of the call of {job.func_name}")
        except ContentsError as exc:
            raise JobArgumentsError(str(exc)) from exc
    try:
        size = len(job.data)  # reading this attribute for the first time encodes the call
    except ContentsError:
        check_arguments(str(job.func_name), job.args, job.kwargs)
        raise JobDefinitionError(
            f"{job.func_name} is a method of an object: define a function at the top of a module and enqueue that"
        ) from None
    if size > max_bytes:
        raise JobTooLargeError(too_large(f"the call of {job.func_name}", size, max_bytes))


def new_job_of(job: Job, condition: Condition = "", *, at_front: bool = False) -> NewJob:
    """Return a job in the form for `EnqueueScripts.enqueue`."""
    fields = job.to_dict()
    fields["status"] = "queued"
    return NewJob(job.id, fields, condition, at_front, job.ttl, fields.pop("needs", b""))


def checked_job(job: object) -> Job:
    """Return the job if it is a `workers.Job`; else raise `JobDefinitionError`."""
    if not isinstance(job, Job):
        raise JobDefinitionError(f"{job!r} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return job
