"""A queue that RQ's own code may fill as well: whoever makes a job or puts one on the queue comes by here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
import rq
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.exceptions import TimeoutFormatError

from notify.errors import ContentsError, NotifyError
from notify.events import encode_json
from notify.server import Client
from workers.errors import DuplicateJobError, JobArgumentsError, JobDefinitionError, JobTooLargeError
from workers.jobs import Definition, Job, JsonSerializer, definition_of
from workers.queue.encode import check_arguments, check_call
from workers.scripts import Admission, Condition, EnqueueScripts, NewJob, too_large

__all__ = ["RqQueue", "new_job_of", "ours"]

QUEUED: Final = Admission("queued", "", b"")
LONGEST_TIMEOUT_S: Final = 2**31 - 1
"""What an alarm of the system can be set to."""


class RqQueue(rq.Queue):
    """An ``rq.Queue`` all of whose jobs are ours, by whichever of RQ's ways they are made."""

    job_class = Job

    def __init__(self, name: str = "default", connection: redis.Redis | None = None, **rq_options: Any) -> None:
        if connection is None:
            raise JobDefinitionError(f"the queue {name!r} needs a connection: Queue({name!r}, connection=bus.redis)")
        if not isinstance(name, str) or not name:
            raise JobDefinitionError(f"the name of a queue is text that is not empty, not {name!r}")
        super().__init__(name, connection, **{**rq_options, "serializer": JsonSerializer})
        if not issubclass(self.job_class, Job):
            raise JobDefinitionError(f"{self.job_class!r} makes no jobs of ours: leave job_class out, or derive it from workers.Job")
        self._client = Client.of(connection)
        self._entrance = EnqueueScripts(self._client)

    def enqueue_job(self, job: Any, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Any:
        """Put a job that was made before on the queue; arguments as for ``rq.Queue``, errors as for `enqueue`."""
        if pipeline is not None or not self._is_async or not isinstance(job, Job) or job._dependency_ids:
            return super().enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        if unique and not job._id:
            raise JobDefinitionError(f"{job.func_name} cannot be enqueued on {self.name!r}: what is to be unique needs an id, job_id=")
        return self._enqueue_async_job(job, at_front=at_front, unique=unique)

    def enqueue_call(self, func: Any, *args: Any, **options: Any) -> Any:
        """Enqueue a call whose arguments come as ``args`` and ``kwargs``, as for ``rq.Queue``; errors as for `enqueue`."""
        with self._refusing(func):
            return super().enqueue_call(func, *args, **options)

    def create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Make a job of a marked function; arguments and errors as for `enqueue`."""
        with self._refusing(func):
            return self._create_job(func, *args, **kwargs)

    def schedule_job(self, job: Any, datetime: Any, pipeline: Any = None, unique: bool = False) -> Any:
        """Have a job enqueued later. It runs unless it loses a service from now on."""
        if not isinstance(job, Job):
            return super().schedule_job(job, datetime, pipeline=pipeline, unique=unique)
        job.admit()  # what is not there then, or was lost until then, its claim sees
        super().schedule_job(job, datetime, pipeline=pipeline, unique=unique)
        self._index(job, pipeline)
        return job

    def setup_dependencies(self, job: Any, pipeline: Any = None) -> Any:
        """Have a job wait for those that it depends on; as for ``rq.Queue``."""
        waiting = super().setup_dependencies(job, pipeline=pipeline)
        if isinstance(job, Job) and job._dependency_ids:
            self._index(job, pipeline)
        return waiting

    def _index(self, job: Job, pipeline: Any) -> None:
        if job.needs:
            self._entrance.index(job.id, pipeline)

    @contextmanager
    def _refusing(self, func: object) -> Iterator[None]:
        """Turn what RQ and redis-py raise while a call is enqueued into errors of ours."""
        try:
            with self._client.translating(f"enqueueing on {self.name!r}"):
                yield
        except NotifyError:
            raise
        except (ValueError, TypeError, AttributeError, AssertionError, TimeoutFormatError) as exc:
            raise JobDefinitionError(f"{getattr(func, '__qualname__', func)} cannot be enqueued on {self.name!r}: {exc}") from exc

    def _create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        definition = self._check_function(func)
        for when in ("on_success", "on_failure", "on_stopped"):
            callback = kwargs.get(when)
            self._check_function(getattr(callback, "func", callback) or "")
        job = ours(super().create_job(func, *args, **kwargs))
        if job.failure_ttl is None:
            job.failure_ttl = DEFAULT_FAILURE_TTL  # or RQ would keep the results of failed jobs for ever
        if job.timeout is not None and not (job.timeout == -1 or 0 < job.timeout <= LONGEST_TIMEOUT_S):
            raise JobDefinitionError(f"the timeout of {job.func_name} is {job.timeout} s: give more than 0, or -1 for none")
        if definition is not None:
            job.accept(definition.requirements)
            job.bind({str(job.func_name): func})
        _check_arguments(job, max_bytes=self._client.settings.max_payload_bytes)
        if definition is not None:
            check_call(func, job.args, job.kwargs)
        return job

    def _check_function(self, func: object) -> Definition | None:
        """Return what `workers.job` noted at a function; ``None`` for a path, of which only the worker can tell."""
        definition = definition_of(func)
        if definition is None and not isinstance(func, str):
            raise JobDefinitionError(f"{getattr(func, '__qualname__', func)!r} is no job: mark it with @job({self.name!r})")
        return definition

    def _enqueue_async_job(self, job: Any, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Any:
        if not isinstance(job, Job):
            return super()._enqueue_async_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        taken = self._put(job, at_front=at_front, condition="unique" if unique else "", pipeline=pipeline)
        if taken.status == "refused":
            raise DuplicateJobError(f"there is a job {job.id!r} already, and it was to be unique")
        return job

    def _put(self, job: Job, *, at_front: bool = False, condition: Condition = "", pipeline: Any = None) -> Admission:
        self._prepare_for_queue(job)
        entry = new_job_of(job, condition, at_front=at_front)
        if pipeline is not None:
            self._entrance.put_later(pipeline, self.name, entry)
            return QUEUED
        (taken,) = self._entrance.put(self.name, [entry])
        job.take_up(taken.status, taken.needs)
        return taken


def _check_arguments(job: Job, *, max_bytes: int) -> None:
    if job.meta:
        try:
            encode_json(job.meta, what=f"the meta of the call of {job.func_name}")
        except ContentsError as exc:
            raise JobArgumentsError(str(exc)) from exc
    try:
        size = len(job.data)  # this encodes it, once
    except ContentsError:
        check_arguments(str(job.func_name), job.args, job.kwargs)
        raise JobDefinitionError(f"{job.func_name} is a method of an object: only functions of a module can be jobs") from None
    if size > max_bytes:
        raise JobTooLargeError(too_large(f"the call of {job.func_name}", size, max_bytes))


def new_job_of(job: Job, condition: Condition = "", *, at_front: bool = False) -> NewJob:
    """Return a job that was made as a whole, to be put on a queue."""
    fields = job.to_dict()
    fields["status"] = "queued"
    return NewJob(job.id, fields, condition, at_front, job.ttl, fields.pop("needs", b""))


def ours(job: object) -> Job:
    if not isinstance(job, Job):
        raise JobDefinitionError(f"{job!r} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return job
