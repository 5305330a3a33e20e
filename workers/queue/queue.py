"""A queue: RQ's, which takes only marked functions and lets no job in whose service is gone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from rq.job import JobStatus
from rq.queue import EnqueueData

from notify.directory import Target
from workers.errors import JobDefinitionError, JobRefusedError
from workers.jobs import Definition, Job, Needs, Policy, Requirements, lazy_job
from workers.overview import Stake, preview_loss
from workers.queue.cancel import Progress, cancel_waiting
from workers.queue.encode import OPTIONS, encode_job
from workers.queue.rq_queue import RqQueue, new_job_of, ours
from workers.scripts import NewJob

__all__ = ["Queue"]

RQ_STATUS: Final = {"queued": b"queued", "held": b"deferred", "cancelled": b"canceled"}


class _EncodedJob(NamedTuple):
    """A job that is not enqueued yet, and whether it was made from its entry, and not its entry from it."""

    entry: NewJob
    job: Job
    is_plain: bool


class Queue(RqQueue):
    """An ``rq.Queue`` whose jobs may need services.

    With RQ's ``is_async=False`` a call runs here and now, as tests want it: nobody looks for what it needs.

    Args:
        name: its name.
        connection: ``bus.redis``, or any ``redis.Redis``, which is taken to use the default namespace.
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
        **kwargs: Any,
    ) -> Job:
        """Enqueue a call of a marked function.

        Args:
            f: the function; or its dotted path, which says nothing about its needs.
            args: its arguments; JSON values.
            needs: what this call needs; by default as defined, see `job`.
            on_loss: what a loss of that does; by default as defined.
            max_hold_s: for how many seconds it may be held; by default as defined.
            grace_s: in how many seconds what was lost may come back; by default as defined.
            kwargs: its keyword arguments, and RQ's options (``job_id``, ``job_timeout``, ``retry``, ``depends_on``, ...).

        Returns:
            The job. If what it needs is not there it is cancelled already, as `Job.outcome` says, or held, as `Job.held` says.

        Raises:
            JobDefinitionError: the function is not marked, or a need, the policy or an option cannot be. Nothing is enqueued.
            JobArgumentsError: an argument is none that JSON can hold; the message names the path. Nothing is enqueued.
            JobTooLargeError: the encoded call is above the payload limit. Nothing is enqueued.
            DuplicateJobError: it was to be unique, and there is a job of that id.
            ServerError: the server did not answer, or refused.
        """
        definition = self._check_function(f)
        requirements = _terms_of(definition).but(needs=needs, on_loss=on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
        if self._is_async and definition is not None and OPTIONS.isdisjoint(kwargs):
            (job,) = self._put_drafts([self._draft(f, args, kwargs, requirements)])
            return job
        with self._refusing(f):
            options = self.parse_args(f, *args, **kwargs)._asdict()
            pipeline, at_front, unique = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options)
            job.accept(requirements)
            return ours(self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique))

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
        """Have a call of a marked function enqueued at a time; ``enqueue_in`` does so after a ``timedelta``, with the same arguments.

        Args:
            datetime: when; one without a time zone is taken as local.
            f, args, needs, on_loss, max_hold_s, grace_s, kwargs: as for `enqueue`.

        Returns:
            The job. What it needs counts when its turn comes, and not before.

        Raises:
            JobDefinitionError, JobArgumentsError, JobTooLargeError, ServerError: as for `enqueue`.
        """
        requirements = _terms_of(self._check_function(f)).but(needs=needs, on_loss=on_loss, max_hold_s=max_hold_s, grace_s=grace_s)
        with self._refusing(f):
            options = self.parse_args(f, *args, **kwargs)._asdict()
            pipeline, at_front, _ = options.pop("pipeline"), options.pop("at_front"), options.pop("unique")
            job = self.create_job(**options, status=JobStatus.SCHEDULED)
            job.accept(requirements)
            job.enqueue_at_front = at_front or None
            return ours(self.schedule_job(job, datetime, pipeline=pipeline))

    def enqueue_many(  # type: ignore[override]  # RQ's jobs are a list of its own kind
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
        """Enqueue many calls, a hundred in one step.

        Args:
            job_datas: calls from `prepare_data`.
            pipeline, group_id: as for ``rq.Queue``.
            needs, on_loss, max_hold_s, grace_s: of all of these calls, as for `enqueue`.

        Returns:
            The jobs in the order of the calls, but those that depend on others come last.

        Raises:
            JobDefinitionError, JobArgumentsError: as for `enqueue`. None of them is enqueued.
            ServerError: the server did not answer, or refused; those of some hundreds may be enqueued.
        """
        changes: dict[str, Any] = {"needs": needs, "on_loss": on_loss, "max_hold_s": max_hold_s, "grace_s": grace_s}
        calls = list(job_datas)
        all_by_rq = pipeline is not None or group_id is not None or not self._is_async
        by_rq = [call for call in calls if all_by_rq or call.depends_on]
        if by_rq and any(change is not None for change in changes.values()):
            raise JobDefinitionError("needs and the like are not for calls with depends_on, a pipeline or a group: put them into @job")
        jobs = self._put_drafts([self._draft_of(call, changes) for call in calls if not (all_by_rq or call.depends_on)])
        return [*jobs, *(self._enqueue_many_by_rq(by_rq, pipeline, group_id) if by_rq else ())]

    def put_back(self, job: Job) -> Job:
        """Put a job that failed, was stopped or was cancelled on the queue again; what was lost before does not count against it.

        Raises:
            JobRefusedError: it has not ended, or it finished, or somebody else was faster.
            ServerError: the server did not answer, or refused.
        """
        job.started_at = job.ended_at = None
        if self._put(job, condition="ended").status == "refused":
            outcome = job.outcome
            if outcome is not None and outcome.status == "finished":
                raise JobRefusedError(f"job {job.id} finished: enqueue another one")
            raise JobRefusedError(f"job {job.id} has not ended: there is nothing to try again")
        return job

    def cancel(
        self,
        *,
        needs: Target | None = None,
        where: Callable[[Job], bool] | None = None,
        reason: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> int:
        """Cancel the waiting jobs of this queue that need something, or of which something else is true, or both.

        Args:
            needs: the service, registered or not, or ``notify.provides("capability")``.
            where: told each job that waits; whether it is to be cancelled.
            reason: kept with their outcomes.
            progress: told after every some hundred jobs how far it is.

        Returns:
            How many were cancelled.

        Raises:
            JobDefinitionError: neither ``needs`` nor ``where`` was given.
            QueueNotFoundError: no job was ever put on this queue.
            ServerError: the server did not answer, or refused; what was cancelled until then stays so.
        """
        return cancel_waiting(self.connection, self.name, needs=needs, where=where, reason=reason, progress=progress)

    def preview_loss(self, service: str) -> list[Stake]:
        """Count the jobs of this queue that need a service, policy by policy; as `workers.preview_loss`."""
        return [stake for stake in preview_loss(self.connection, service) if stake.queue == self.name]

    def _enqueue_many_by_rq(self, calls: list[EnqueueData], pipeline: Any, group_id: str | None) -> list[Job]:
        with self._refusing("one of many calls"):
            jobs = [*map(ours, super().enqueue_many(calls, pipeline, group_id))]
            for job in jobs:
                if job._dependency_ids:
                    self._index(job, pipeline)
            return jobs

    def _draft(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], requirements: Requirements) -> _EncodedJob:
        if func.__module__ == "__main__":
            raise JobDefinitionError(f"{func.__qualname__} is defined in __main__, which no worker can import: put it into a module")
        most = self._client.settings.max_payload_bytes
        entry = encode_job(func, args, kwargs, queue=self.name, timeout_s=self._default_timeout, requirements=requirements, max_bytes=most)
        functions = {f"{func.__module__}.{func.__qualname__}": func}
        job = lazy_job(self.job_class, entry.job_id, entry.fields, connection=self.connection, functions=functions)
        return _EncodedJob(entry, job, is_plain=True)

    def _draft_of(self, call: EnqueueData, changes: Mapping[str, Any]) -> _EncodedJob:
        definition = self._check_function(call.func)
        requirements = _terms_of(definition).but(**changes)
        if definition is not None and not any(call[len(("func", "args", "kwargs")) :]):
            return self._draft(call.func, call.args or (), call.kwargs or {}, requirements)
        options = call._asdict()
        at_front = options.pop("at_front")
        job = self.create_job(**options)
        job.accept(requirements)
        self._prepare_for_queue(job)
        return _EncodedJob(new_job_of(job, at_front=at_front), job, is_plain=False)

    def _put_drafts(self, drafts: Sequence[_EncodedJob]) -> list[Job]:
        entries = [each.entry for each in drafts]
        put = self._entrance.put if len(entries) == 1 else self._entrance.put_many
        for each, taken in zip(drafts, put(self.name, entries), strict=True):
            if each.is_plain:
                each.entry.fields.update({b"status": RQ_STATUS[taken.status], b"needs": taken.needs})
            else:
                each.job.take_up(taken.status, taken.needs)
        return [each.job for each in drafts]


def _terms_of(definition: Definition | None) -> Requirements:
    return definition.requirements if definition is not None else Requirements()
