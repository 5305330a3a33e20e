"""The class `Queue`: RQ's queue, for calls of marked functions, whose required services it checks. Also `requeue`, for ended jobs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import cache
from typing import Any

import redis

from notify.directory import Target
from workers.errors import JobDefinitionError, JobRefusedError
from workers.jobs import Definition, Job, JobFunctions, Needs, Policy, Requirements, lazy_job
from workers.overview import Stake, preview_loss
from workers.queue.cancel import Progress, cancel_waiting
from workers.queue.dependencies import OnDependencyFailure, cancelled_with_dependencies, check_dependency_option
from workers.queue.encode import common_fields, encode_job, path_of
from workers.queue.rq_queue import RqQueue, check_function, checked_job, new_job_of, translating
from workers.rq import ENQUEUE_OPTIONS, EnqueueData, JobStatus
from workers.scripts import PLAIN, RQ_STATUS, EnqueueScripts, NewJob

__all__ = ["Queue", "requeue"]


class Queue(RqQueue):
    """An ``rq.Queue`` whose jobs may require services.

    With RQ's ``is_async=False``, which is for tests, a call runs at once in this process, and the services it requires are not checked.

    Args:
        name: the name of the queue.
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        rq_options: as for ``rq.Queue``.
    """

    def enqueue(
        self,
        f: Any,
        *args: Any,
        needs: Needs | None = None,
        on_loss: Policy | None = None,
        max_hold_s: float | None = None,
        grace_s: float | None = None,
        on_dependency_failure: OnDependencyFailure | None = None,
        **kwargs: Any,
    ) -> Job:
        """Enqueue a call of a marked function.

        Args:
            f: the function; or its dotted path, for which only the requirements given here hold.
            args: its arguments; JSON values.
            needs: the services that this call requires; by default those of `job`.
            on_loss: the effect of their loss; by default that of `job`.
            max_hold_s: seconds for which the job may be held; by default as in `job`.
            grace_s: seconds within which a service may return without being lost; by default as in `job`.
            on_dependency_failure: with ``depends_on``: ``cancel`` or, the default and RQ's way, ``wait``, see `OnDependencyFailure`.
            kwargs: its keyword arguments, and RQ's options (``job_id``, ``job_timeout``, ``retry``, ``depends_on``, ...).

        Returns:
            The job. If a required service is missing, the job is already cancelled (see `Job.outcome`) or held (see `Job.held`).

        Raises:
            JobDefinitionError: the function is not marked, or a need, the policy or an option is invalid. Nothing is enqueued.
            JobArgumentsError: the function does not accept the arguments, or JSON cannot hold one: the message says where. Nothing is
                enqueued.
            JobTooLargeError: the encoded call is above the payload limit. Nothing is enqueued.
            DuplicateJobError: ``unique=True`` was given, and there is a job with that id.
            ServerError: Redis did not answer, or refused.
        """
        definition = check_function(f, queue=self.name)
        requirements = _requirements_of(definition).but(needs=needs, on_loss=on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
        is_cancelled = check_dependency_option(on_dependency_failure, kwargs.get("depends_on"))
        if self._is_async and definition is not None and ENQUEUE_OPTIONS.isdisjoint(kwargs):
            new_job = _encode_plain(self, f, args, kwargs, requirements, common_fields(self.name, self._default_timeout))
            if requirements.needs:
                _put_encoded(self._enqueue_scripts, self.name, [new_job], [])
            else:
                self._enqueue_scripts.enqueue_plain(self.name, new_job)
            return _job_of(self, new_job, f)
        with translating(self._client, self.name, f):
            options = self.parse_args(f, *args, **kwargs)._asdict()
            pipeline, at_front, unique = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options)
            job.accept(requirements)
            with cancelled_with_dependencies(self._client, job) if is_cancelled else nullcontext():
                return checked_job(self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique))

    def enqueue_at(
        self,
        datetime: datetime,
        f: Any,
        *args: Any,
        needs: Needs | None = None,
        on_loss: Policy | None = None,
        max_hold_s: float | None = None,
        grace_s: float | None = None,
        **kwargs: Any,
    ) -> Job:
        """Schedule a call of a marked function for a time. ``enqueue_in`` takes a ``timedelta`` instead, and the same arguments.

        Args:
            datetime: the time; one without a time zone is local time, by the rule of the zone at that date (see also ``fold``).
            f, args, needs, on_loss, max_hold_s, grace_s, kwargs: as for `enqueue`.

        Returns:
            The job. The services it requires are checked when a worker claims it, after its time has come.

        Raises:
            JobDefinitionError, JobArgumentsError, JobTooLargeError, ServerError: as for `enqueue`.
        """
        definition = check_function(f, queue=self.name)
        requirements = _requirements_of(definition).but(needs=needs, on_loss=on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
        with translating(self._client, self.name, f):
            options = self.parse_args(f, *args, **kwargs)._asdict()
            pipeline, at_front, _ = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options, status=JobStatus.SCHEDULED)
            job.accept(requirements)
            job.enqueue_at_front = at_front or None
            return checked_job(self.schedule_job(job, datetime, pipeline=pipeline))

    def enqueue_many(  # type: ignore[override]  # RQ's method returns a list of RQ's jobs
        self,
        job_datas: Iterable[EnqueueData],
        pipeline: Any = None,
        group_id: str | None = None,
        *,
        needs: Needs | None = None,
        on_loss: Policy | None = None,
        max_hold_s: float | None = None,
        grace_s: float | None = None,
    ) -> list[Job]:
        """Enqueue many calls, up to a hundred with one script.

        Args:
            job_datas: calls from `prepare_data`.
            pipeline, group_id: as for ``rq.Queue``.
            needs, on_loss, max_hold_s, grace_s: for all calls, as for `enqueue`.

        Returns:
            The jobs in the order of the calls, except that jobs with dependencies come last.

        Raises:
            JobDefinitionError, JobArgumentsError: as for `enqueue`. No job is enqueued.
            ServerError: Redis did not answer, or refused; the jobs of earlier scripts may be enqueued.
        """
        changes: dict[str, Any] = {"needs": needs, "on_loss": on_loss, "max_hold_s": max_hold_s, "grace_s": grace_s}
        calls = list(job_datas)
        all_by_rq = pipeline is not None or group_id is not None or not self._is_async
        by_rq = [call for call in calls if all_by_rq or call.depends_on]
        if by_rq and any(change is not None for change in changes.values()):
            raise JobDefinitionError(
                "calls with depends_on, a pipeline or a group take no needs, on_loss, max_hold_s or grace_s: give these to @job"
            )
        common = common_fields(self.name, self._default_timeout)
        new_jobs, jobs = list[NewJob](), list[Job]()
        for call in calls:
            if not (all_by_rq or call.depends_on):
                new_job, job = _encode(self, call, changes, common)
                new_jobs.append(new_job)
                jobs.append(job)
        _put_encoded(self._enqueue_scripts, self.name, new_jobs, jobs)
        return [*jobs, *(_enqueue_many_by_rq(self, by_rq, pipeline, group_id) if by_rq else ())]

    def put_back(self, job: Job) -> Job:
        """Put a job that failed, was stopped or was cancelled on the queue again; earlier losses do not count.

        Raises:
            JobRefusedError: the job has not ended yet, it finished, or another client has just put it back.
            ServerError: Redis did not answer, or refused.
        """
        job.started_at = job.ended_at = None
        if self._put(job, condition="ended").status == "refused":
            outcome = job.outcome
            if outcome is not None and outcome.status == "finished":
                raise JobRefusedError(f"job {job.id} finished, so there is nothing to try again: enqueue a new job")
            raise JobRefusedError(f"job {job.id} has not ended, so it cannot be enqueued again: cancel it first, or wait for its end")
        return job

    def cancel(
        self,
        *,
        needs: Target | None = None,
        where: Callable[[Job], bool] | None = None,
        reason: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> int:
        """Cancel the waiting jobs of this queue that require a service, or that a function selects, or both.

        Args:
            needs: the service, registered or not, or ``notify.provides("capability")``.
            where: called with each waiting job; returns whether to cancel it.
            reason: stored in the outcomes of the jobs.
            progress: called after every few hundred jobs.

        Returns:
            The number of cancelled jobs.

        Raises:
            JobDefinitionError: neither ``needs`` nor ``where`` was given.
            QueueNotFoundError: no job was ever put on this queue.
            ServerError: Redis did not answer, or refused; the jobs cancelled until then stay cancelled.
        """
        return cancel_waiting(self.connection, self.name, needs=needs, where=where, reason=reason, progress=progress)

    def preview_loss(self, service: str) -> list[Stake]:
        """Count the jobs of this queue that require a service, by policy; as `workers.preview_loss`."""
        return [stake for stake in preview_loss(self.connection, service) if stake.queue == self.name]


def _enqueue_many_by_rq(queue: Queue, calls: list[EnqueueData], pipeline: Any, group_id: str | None) -> list[Job]:
    with translating(queue._client, queue.name, "one of many calls"):
        jobs = [*map(checked_job, RqQueue.enqueue_many(queue, calls, pipeline, group_id))]
        for job in jobs:
            if job._dependency_ids:
                queue._index(job, pipeline)
        return jobs


def _encode(queue: Queue, call: EnqueueData, changes: Mapping[str, Any], common: Mapping[bytes, bytes]) -> tuple[NewJob, Job]:
    """Return a job in the form for the enqueue script, and as an object for the caller, which reads the fields of a plain one."""
    func, args, kwargs, *options = call
    definition = check_function(func, queue=queue.name)
    requirements = _requirements_of(definition).but(**changes)
    if definition is not None and not any(options):
        new_job = _encode_plain(queue, func, args or (), kwargs or {}, requirements, common)
        return new_job, _job_of(queue, new_job, func)
    named_options = call._asdict()
    at_front = named_options.pop("at_front")
    job = queue.create_job(**named_options)
    job.accept(requirements)
    queue._prepare_for_queue(job)
    return new_job_of(job, at_front=at_front), job


def _encode_plain(
    queue: Queue, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], requirements: Requirements, common: Mapping[bytes, bytes]
) -> NewJob:
    if func.__module__ == "__main__":
        raise JobDefinitionError(f"{func.__qualname__} is defined in __main__, which no worker can import: put it into a module")
    max_bytes = queue._client.settings.max_payload_bytes
    return encode_job(func, args, kwargs, common=common, requirements=requirements, max_bytes=max_bytes)


def _job_of(queue: Queue, new_job: NewJob, func: Callable[..., Any]) -> Job:
    return lazy_job(queue.job_class, new_job.job_id, new_job.fields, connection=queue.connection, functions=_by_path(func))


@cache
def _by_path(func: Callable[..., Any]) -> JobFunctions:
    return {path_of(func): func}


def _put_encoded(scripts: EnqueueScripts, queue: str, new_jobs: Sequence[NewJob], jobs: Sequence[Job]) -> None:
    """Put jobs on a queue, and tell the objects what became of them, in place."""
    enqueue = scripts.enqueue if len(new_jobs) == 1 else scripts.enqueue_many
    for index, admission in enumerate(enqueue(queue, new_jobs)):
        if admission is PLAIN:
            continue
        if new_jobs[index].condition == "new":
            new_jobs[index].fields.update({b"status": RQ_STATUS[admission.status].encode(), b"needs": admission.needs})
        else:
            jobs[index].take_up(admission.status, admission.needs)


def _requirements_of(definition: Definition | None) -> Requirements:
    return definition.requirements if definition is not None else Requirements()


def requeue(connection: redis.Redis, job_id: str) -> Job:
    """Put a job that failed, was stopped or was cancelled on its queue again; earlier losses do not count.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        job_id: the id of the job.

    Returns:
        The job. If a required service is missing, the job is already cancelled or held, as after `Queue.enqueue`.

    Raises:
        JobNotFoundError: there is no such job.
        JobRefusedError: the job has not ended yet, it finished, or another client has just put it back.
    """
    job = Job.fetch(job_id, connection=connection)
    if job.problem:
        raise JobRefusedError(f"job {job_id} cannot be enqueued again, for no worker can run it: {job.problem}")
    return Queue(job.origin, connection=connection).put_back(job)
