"""A queue: RQ's, which takes only marked functions and lets no job in whose service is gone."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import redis
import rq
from rq.job import JobStatus
from rq.queue import EnqueueArgs

from notify.connection import Client
from notify.errors import ContentsError
from notify.strict_json import encode_json
from workers import rq_keys
from workers.definition import Policy, check_needs, check_policy, definition_of
from workers.errors import JobArgumentsError, JobDefinitionError, JobError
from workers.jobs import Job
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
            f: the function, or its dotted path.
            args: its arguments; JSON values.
            needs: the services this call needs; by default those of its definition.
            on_loss: what a loss of one does; by default as defined.
            kwargs: its keyword arguments, and RQ's options (``job_id``, ``job_timeout``, ``retry``, ``depends_on``, ...).

        Returns:
            The job. If a service it needs is not registered it is cancelled already; `Job.outcome` says so.

        Raises:
            JobDefinitionError: the function is not marked, or a need, the policy or an option cannot be. Nothing is enqueued.
            JobArgumentsError: an argument is none that JSON can hold; the message names the path. Nothing is enqueued.
            ServerError: the server did not answer, or refused.
        """
        try:
            call: EnqueueArgs = self.parse_args(f, *args, **kwargs)
            options = call._asdict()
            pipeline, at_front, unique = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options)
        except (ValueError, TypeError, AssertionError) as exc:
            if isinstance(exc, JobError):
                raise
            raise JobDefinitionError(f"{f!r} cannot be enqueued on {self.name!r}: {exc}") from exc
        if needs is not None:
            job.needs = dict.fromkeys(check_needs(needs), 0)
        if on_loss is not None:
            job.on_loss = check_policy(on_loss)
        with self._client.translating(f"enqueueing on {self.name!r}"):
            enqueued = self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        return _ours(enqueued)

    def create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Make a job of a marked function; arguments and errors as for `enqueue`."""
        definition = definition_of(func)
        if definition is None and not isinstance(func, str):
            raise JobDefinitionError(f"{getattr(func, '__qualname__', func)!r} is no job: mark it with @job({self.name!r})")
        job = _ours(super().create_job(func, *args, **kwargs))
        if definition is not None:
            job.needs, job.on_loss = dict.fromkeys(definition.needs, 0), definition.on_loss
            job.bind({str(job.func_name): func})
        _check_arguments(job)
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
            cancelled += self._scripts.cancel(self.name, ids, reason=reason or f"jobs that need {needs} were cancelled")[0]
        return cancelled

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
        missing = self._admit(job)
        if missing:
            return self._refuse(job, missing)
        pipe = self.connection.pipeline() if pipeline is None else pipeline
        super()._enqueue_async_job(job, pipeline=None if unique else pipe, at_front=at_front, unique=unique)
        for need in job.needs:
            key = self._scripts.keys.needs(need)
            pipe.zadd(key, {job.id: round(job.enqueued_at.timestamp() * 1000) if job.enqueued_at else 0})
            pipe.pexpire(key, INDEX_MS)
        if pipeline is None:
            pipe.execute()
        return job

    def _admit(self, job: Job) -> str | None:
        """Note what was lost so far; whatever is lost from here on, the claim sees. Returns a service that is not there."""
        names = sorted(job.needs)
        with self.connection.pipeline(transaction=True) as pipe:
            pipe.hmget(self._scripts.keys.losses, names)
            pipe.smismember(self._scripts.keys.services, names)
            serials, present = pipe.execute()
        job.needs = {name: int(serial or 0) for name, serial in zip(names, serials, strict=True)}
        return next((name for name, there in zip(names, present, strict=True) if not there and job.on_loss != "ignore"), None)

    def _refuse(self, job: Job, missing: str) -> Job:
        """Keep a job whose service is gone as cancelled; it never enters the queue."""
        self._prepare_for_queue(job)
        with self.connection.pipeline() as pipe:
            job.save(pipeline=pipe)
            pipe.pexpire(job.key, KEEP_CANCELLED_MS)
            pipe.execute()
        self._scripts.cancel(self.name, [job.id], reason=f"{missing} was not there when it was enqueued", need=missing)
        job._status = JobStatus.CANCELED
        return job


def _check_arguments(job: Job) -> None:
    try:
        job.data  # noqa: B018  # encodes it, once
    except ContentsError:
        call = {"args": list(job.args), "kwargs": dict(job.kwargs)}
        try:
            encode_json(call, what=f"the call of {job.func_name}")
        except ContentsError as exc:
            raise JobArgumentsError(str(exc)) from exc
        raise JobDefinitionError(f"{job.func_name} is a method of an object: only functions of a module can be jobs") from None


def _ours(job: object) -> Job:
    if not isinstance(job, Job):
        raise JobDefinitionError(f"{job!r} is no workers.Job: leave job_class out, or derive it from workers.Job")
    return job
