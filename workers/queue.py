"""A queue: RQ's, which takes only marked functions and lets no job in whose service is gone."""

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import redis
import rq
import rq.scripts
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.job import JobStatus
from rq.queue import EnqueueArgs

from notify.connection import Client
from notify.errors import ContentsError, NotifyError
from notify.strict_json import encode_json
from workers import rq_keys
from workers.definition import Definition, Policy, check_needs, check_policy, definition_of
from workers.errors import DuplicateJobError, JobArgumentsError, JobDefinitionError, JobTooLargeError
from workers.jobs import Job
from workers.payload import too_large
from workers.scripts import KEEP_CANCELLED_MS, JobScripts
from workers.serializer import JsonSerializer

__all__ = ["Queue"]

CHUNK: Final = 100
"""Jobs cancelled by one script: it holds the server for a few milliseconds at the most."""
INDEX_MS: Final = 30 * 86_400_000


class Queue(rq.Queue):
    """An ``rq.Queue`` whose jobs may need services.

    Args:
        name: its name.
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
        rq_options: as for ``rq.Queue``.
    """

    job_class = Job

    def __init__(self, name: str = "default", connection: redis.Redis | None = None, **rq_options: Any) -> None:
        if connection is None:
            raise JobDefinitionError(f"the queue {name!r} needs a connection: Queue({name!r}, connection=bus.redis)")
        super().__init__(name, connection, **{**rq_options, "serializer": JsonSerializer})
        self._client = Client.of(connection)
        self._scripts = JobScripts(self._client)

    def enqueue(self, f: Any, *args: Any, needs: str | Collection[str] | None = None, on_loss: Policy | None = None, **kwargs: Any) -> Job:
        """Enqueue a call of a marked function.

        Args:
            f: the function; or its dotted path, which says nothing about its needs.
            args: its arguments; JSON values.
            needs: the services this call needs; by default those of its definition.
            on_loss: what a loss of one does; by default as defined.
            kwargs: its keyword arguments, and RQ's options (``job_id``, ``job_timeout``, ``retry``, ``depends_on``, ...).

        Returns:
            The job. If a service it needs is not registered it is cancelled already; `Job.outcome` says so.

        Raises:
            JobDefinitionError: the function is not marked, or a need, the policy or an option cannot be. Nothing is enqueued.
            JobArgumentsError: an argument is none that JSON can hold; the message names the path. Nothing is enqueued.
            JobTooLargeError: the encoded call is above the payload limit. Nothing is enqueued.
            DuplicateJobError: it was to be unique, and there is a job of that id.
            ServerError: the server did not answer, or refused.
        """
        self._check_function(f)
        try:
            call: EnqueueArgs = self.parse_args(f, *args, **kwargs)
            options = call._asdict()
            pipeline, at_front, unique = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options)
            if needs is not None:
                job.needs = dict.fromkeys(check_needs(needs), 0)
            if on_loss is not None:
                job.on_loss = check_policy(on_loss)
            with self._client.translating(f"enqueueing on {self.name!r}"):
                return _ours(self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique))
        except rq.exceptions.DuplicateJobError as exc:
            raise DuplicateJobError(f"there is a job {job.id!r} already, and it was to be unique") from exc
        except (ValueError, TypeError, AttributeError, AssertionError, rq.exceptions.TimeoutFormatError) as exc:
            if isinstance(exc, NotifyError):
                raise
            raise JobDefinitionError(f"{getattr(f, '__qualname__', f)} cannot be enqueued on {self.name!r}: {exc}") from exc

    def create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Make a job of a marked function; arguments and errors as for `enqueue`."""
        definition = self._check_function(func)
        for when in ("on_success", "on_failure", "on_stopped"):
            callback = kwargs.get(when)
            self._check_function(getattr(callback, "func", callback) or "")
        job = _ours(super().create_job(func, *args, **kwargs))
        if job.failure_ttl is None:
            job.failure_ttl = DEFAULT_FAILURE_TTL  # or RQ would keep the results of failed jobs for ever
        if definition is not None:
            job.needs, job.on_loss = dict.fromkeys(definition.needs, 0), definition.on_loss
            job.bind({str(job.func_name): func})
        _check_arguments(job, max_bytes=self._client.settings.max_payload_bytes)
        if definition is not None:
            _check_call(func, job)
        return job

    def cancel(self, *, needs: str, reason: str = "") -> int:
        """Cancel every waiting job of this queue that needs a service, registered or not.

        Args:
            needs: the service.
            reason: kept with their outcomes.

        Returns:
            How many were cancelled.
        """
        cancelled = 0
        for ids in self._waiting(needs):
            cancelled += self._scripts.cancel(self.name, ids, needs=[needs], reason=reason or f"jobs that need {needs} were cancelled")[0]
        return cancelled

    def schedule_job(self, job: Any, datetime: Any, pipeline: Any = None, unique: bool = False) -> Any:
        """Have a job enqueued later. It runs unless it loses a service from now on."""
        if isinstance(job, Job):
            job.admit()  # the scheduler is RQ's own, and will not
        return super().schedule_job(job, datetime, pipeline=pipeline, unique=unique)

    def _check_function(self, func: object) -> Definition | None:
        """Return what `workers.job` noted at a function; ``None`` for a path, of which only the worker can tell."""
        definition = definition_of(func)
        if definition is None and not isinstance(func, str):
            raise JobDefinitionError(f"{getattr(func, '__qualname__', func)!r} is no job: mark it with @job({self.name!r})")
        return definition

    def _waiting(self, need: str) -> Iterator[list[str]]:
        """Ids of this queue's jobs in the index of a service, chunk by chunk."""
        with self._client.translating(f"looking for jobs that need {need!r}"):
            ids: Any = self._client.zrange(self._scripts.keys.needs(need), 0, -1)
            for start in range(0, len(ids), CHUNK):
                chunk = [job_id.decode() for job_id in ids[start : start + CHUNK]]
                with self._client.pipeline(transaction=False) as pipe:
                    for job_id in chunk:
                        pipe.hget(rq_keys.job(job_id), "origin")
                    origins = pipe.execute()
                yield [job_id for job_id, origin in zip(chunk, origins, strict=True) if origin == self.name.encode()]

    def _enqueue_async_job(self, job: Any, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Any:
        if not isinstance(job, Job) or not job.needs:
            return super()._enqueue_async_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        missing = job.admit()
        if missing is not None:
            return self._refuse(job, missing, unique=unique)
        pipe = self.connection.pipeline() if pipeline is None else pipeline
        super()._enqueue_async_job(job, pipeline=None if unique else pipe, at_front=at_front, unique=unique)
        for need in job.needs:
            key = self._scripts.keys.needs(need)
            pipe.zadd(key, {job.id: round(job.enqueued_at.timestamp() * 1000) if job.enqueued_at else 0})
            pipe.pexpire(key, INDEX_MS)
        if pipeline is None:
            pipe.execute()
        return job

    def _refuse(self, job: Job, missing: str, *, unique: bool) -> Job:
        """Keep a job whose service is gone as cancelled; it never enters the queue."""
        self._prepare_for_queue(job)
        if unique:
            rq.scripts.save_unique_job(self.connection, self.key, job, enqueue=False)  # type: ignore[no-untyped-call]  # RQ leaves it so
        else:
            with self.connection.pipeline() as pipe:
                job.save(pipeline=pipe)
                pipe.pexpire(job.key, KEEP_CANCELLED_MS)
                pipe.execute()
        self._scripts.cancel(self.name, [job.id], reason=f"{missing} was not there when it was enqueued", need=missing)
        job._status = JobStatus.CANCELED
        return job


def _check_call(func: Callable[..., Any], job: Job) -> None:
    try:
        inspect.signature(func).bind(*job.args, **job.kwargs)
    except TypeError as exc:
        raise JobArgumentsError(f"{job.func_name} cannot be called like that: {exc}") from exc


def _check_arguments(job: Job, *, max_bytes: int) -> None:
    if job.meta:
        _encode(job.meta, f"the meta of the call of {job.func_name}")
    try:
        size = len(job.data)  # this encodes it, once
    except ContentsError:
        _encode({"args": list(job.args), "kwargs": dict(job.kwargs)}, f"the call of {job.func_name}")
        raise JobDefinitionError(f"{job.func_name} is a method of an object: only functions of a module can be jobs") from None
    if size > max_bytes:
        raise JobTooLargeError(too_large(f"the call of {job.func_name}", size, max_bytes))


def _encode(value: object, what: str) -> None:
    try:
        encode_json(value, what=what)
    except ContentsError as exc:
        raise JobArgumentsError(str(exc)) from exc


def _ours(job: object) -> Job:
    if not isinstance(job, Job):
        raise JobDefinitionError(f"{job!r} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return job
