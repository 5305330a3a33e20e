"""What RQ 3 does in another way than RQ 2.12. `workers.rq.v2` has the same names."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final

from redis import WatchError
from rq import Queue
from rq.callbacks import execute_failure_callback, execute_stopped_callback
from rq.defaults import RQ_KEY_PREFIX
from rq.job import JobStatus, _current_job
from rq.rate_limit import RateLimitRegistry
from rq.registry import ReadyJobRegistry

__all__ = [
    "KEY_PREFIX",
    "DependentsQueue",
    "enqueue_ready",
    "execute_failure_callback",
    "execute_stopped_callback",
    "fill_rate_limits",
    "first_execution",
    "is_rate_limited",
    "own_current_job",
    "running",
    "with_execution",
]

KEY_PREFIX: Final = RQ_KEY_PREFIX
"""What all keys begin with."""

log = logging.getLogger(__name__)


class DependentsQueue(Queue):
    """RQ's queue, with a hook around the release of the jobs that depend on another job."""

    def releasing(self, job: Any, pipeline: Any) -> AbstractContextManager[None]:
        """Surround the release of the jobs that depend on one which has ended; ``pipeline`` records its success, unless it is ``None``."""
        return nullcontext()

    @property
    def ready_job_registry(self) -> "_ReadyJobs":
        """The dependents of this queue that are about to be enqueued."""
        return _ReadyJobs(self)

    def move_dependents_to_ready(
        self, job: Any, pipeline: Any = None, exclude_job_id: Any = None, refresh_job_status: bool = True
    ) -> dict[str, list[str]]:
        """Mark the jobs that waited for a job which has ended as ready."""
        records_success = pipeline is not None and exclude_job_id is None  # RQ's code calls it so
        with self.releasing(job, pipeline) if records_success else nullcontext():
            return super().move_dependents_to_ready(job, pipeline, exclude_job_id, refresh_job_status)

    def enqueue_dependents(self, job: Any, exclude_job_id: Any = None, refresh_job_status: bool = True) -> dict[str, list[str]]:
        """Enqueue the jobs that waited for a job which has ended."""
        with self.releasing(job, None):
            return super().enqueue_dependents(job, exclude_job_id, refresh_job_status)


class _ReadyJobs(ReadyJobRegistry):
    """The dependents of a queue that are about to be enqueued. RQ's code would enqueue them on a queue of its own class."""

    def __init__(self, queue: Any) -> None:
        super().__init__(queue=queue, job_class=queue.job_class, serializer=queue.serializer)
        self._queue = queue

    def enqueue_jobs(self, job_ids: list[str]) -> list[Any]:
        """Enqueue those of the jobs that are ready, each in a transaction. The others, if they do not wait any more, are forgotten."""
        return [job for job in self._jobs(job_ids) if self._is_enqueued(job)]

    def _jobs(self, job_ids: Sequence[str]) -> Iterator[Any]:
        jobs = self.job_class.fetch_many(job_ids, connection=self.connection, serializer=self.serializer)
        for job_id, job in zip(job_ids, jobs, strict=True):
            if job is None:
                self.connection.zrem(self.key, job_id)
            else:
                yield job

    def _is_enqueued(self, job: Any) -> bool:
        try:
            pipe: Any
            with self.connection.pipeline() as pipe:
                pipe.watch(self.key, job.key)
                is_listed, status = pipe.zscore(self.key, job.id) is not None, pipe.hget(job.key, "status")
                pipe.multi()
                self.remove(job, pipeline=pipe)
                is_ready = is_listed and status == JobStatus.READY_TO_ENQUEUE.value.encode()
                if is_ready and job.has_rate_limit:
                    self._queue._enqueue_rate_limited_job(job, pipeline=pipe)
                elif is_ready:
                    self._queue._enqueue_job(job, pipeline=pipe, at_front=job.should_enqueue_at_front())
                pipe.execute()
        except WatchError:
            log.info("job %s is not enqueued now: another process changed it", job.id)
            return False
        return is_ready


def enqueue_ready(queue: Any) -> None:
    """Enqueue the dependents that a process released and did not enqueue before it died."""
    queue.ready_job_registry.cleanup()


def fill_rate_limits(connection: Any) -> bool:
    """Give the places of jobs that are over to the jobs that wait for one within their rate limits. Returns whether there is a limit."""
    limits = RateLimitRegistry.all(connection)
    for registry in limits:
        registry.cleanup()
    return bool(limits)


def is_rate_limited(job: Any) -> bool:
    """Return whether a job has a rate limit."""
    return bool(job.has_rate_limit)


def first_execution(worker: Any, *, may_ask: bool) -> Any:
    """Return a run that RQ's code keeps in the worker beside the current one, or ``None``; Redis is asked only if it may be."""
    return next(iter(worker.executions.values()), None) or (next(iter(worker.get_current_executions()), None) if may_ask else None)


@contextmanager
def running(job: Any) -> Iterator[None]:
    """Let `get_current_job` return this job in the block."""
    token = _current_job.set(job)
    try:
        yield
    finally:
        _current_job.reset(token)


def own_current_job(task: str) -> None:
    """Do nothing: each task of asyncio has a current job of its own."""


def with_execution(method: Callable[..., Any], execution: Any) -> Callable[..., Any]:
    """Return a method of RQ's worker that records an end. RQ 2.12 takes the run from the worker, RQ 3 as an argument."""
    return partial(method, execution=execution)
