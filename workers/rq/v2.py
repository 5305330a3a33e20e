"""What RQ 2.12 does in another way than RQ 3. `workers.rq.v3` has the same names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from rq import Queue
from rq.job import _job_stack

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

KEY_PREFIX: Final = Queue.redis_queue_namespace_prefix.partition(":")[0]
"""What all keys begin with. RQ 2.12 has no constant for it."""

_task: ContextVar[str] = ContextVar("task", default="")
_of_thread: Final = _job_stack.__ident_func__

Method = TypeVar("Method", bound=Callable[..., Any])


class DependentsQueue(Queue):
    """RQ's queue, with a hook around the release of the jobs that depend on another job."""

    def releasing(self, job: Any, pipeline: Any) -> AbstractContextManager[None]:
        """Surround the release of the jobs that depend on one which has ended; ``pipeline`` records its success, unless it is ``None``."""
        return nullcontext()

    def enqueue_dependents(self, job: Any, pipeline: Any = None, exclude_job_id: Any = None, refresh_job_status: bool = True) -> None:
        """Enqueue the jobs that waited for a job which has ended."""
        cancels = pipeline is not None and exclude_job_id is not None  # RQ's code calls it so
        with nullcontext() if cancels else self.releasing(job, pipeline):
            super().enqueue_dependents(job, pipeline, exclude_job_id, refresh_job_status)


def enqueue_ready(queue: Any) -> None:
    """Enqueue the dependents that a process released and did not enqueue before it died. RQ 2.12 does both in one step: do nothing."""


def fill_rate_limits(connection: Any) -> bool:
    """Enqueue the jobs for which rate limits have room. RQ 2.12 has no rate limits: there are none."""
    return False


def is_rate_limited(job: Any) -> bool:
    """Return whether a job has a rate limit. RQ 2.12 has none."""
    return False


def first_execution(worker: Any, *, may_ask: bool) -> Any:
    """Return a run that RQ's code keeps in the worker beside the current one. RQ 2.12 keeps none: ``None``."""
    return None


@contextmanager
def running(job: Any) -> Iterator[None]:
    """Let `get_current_job` return this job in the block."""
    _job_stack.push(job)  # type: ignore[no-untyped-call]  # RQ leaves it untyped
    try:
        yield
    finally:
        _job_stack.pop()  # type: ignore[no-untyped-call]  # as above


def own_current_job(task: str) -> None:
    """Let the present task of asyncio, and what it calls in threads, have a current job of its own. RQ 2.12 has one for each thread."""
    _job_stack.__ident_func__ = _ident
    _task.set(task)


def _ident() -> Any:
    return _task.get() or _of_thread()


def execute_failure_callback(job: Any, death_penalty_class: type[Any], *error: Any) -> None:
    """Call the ``on_failure`` callback of a job with an error, as ``sys.exc_info`` returns it, within its timeout."""
    job.execute_failure_callback(death_penalty_class, *error)


def execute_stopped_callback(job: Any, death_penalty_class: type[Any]) -> None:
    """Call the ``on_stopped`` callback of a job, within its timeout."""
    job.execute_stopped_callback(death_penalty_class)


def with_execution(method: Method, execution: Any) -> Method:
    """Return a method of RQ's worker that records an end. RQ 2.12 takes the run from the worker, RQ 3 as an argument."""
    return method
