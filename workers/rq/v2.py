"""What RQ 2.12 does in another way than RQ 3. `workers.rq.v3` has the same names."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeVar

from rq import Queue
from rq.job import _job_stack

__all__ = [
    "EXECUTION_PREFIX",
    "READY_TEMPLATE",
    "WORKER_EXECUTIONS_TEMPLATE",
    "DependentsQueue",
    "execute_failure_callback",
    "execute_stopped_callback",
    "first_execution",
    "running",
    "with_execution",
]

EXECUTION_PREFIX: Final = "rq:execution:"
READY_TEMPLATE: Final = "rq:ready:{0}"
"""The registry of dependents that RQ 3 is about to enqueue. RQ 2.12 has none, but may share the server with RQ 3."""
WORKER_EXECUTIONS_TEMPLATE: Final = "rq:worker:{0}:executions"
"""The runs of a worker of RQ 3."""

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


def first_execution(worker: Any) -> Any:
    """Return a run of a worker that another process runs. RQ 2.12 tells its job only: ``None``."""
    return None


@contextmanager
def running(job: Any) -> Iterator[None]:
    """Let `get_current_job` return this job in the block."""
    _job_stack.push(job)  # type: ignore[no-untyped-call]  # RQ leaves it untyped
    try:
        yield
    finally:
        _job_stack.pop()  # type: ignore[no-untyped-call]  # as above


def execute_failure_callback(job: Any, death_penalty_class: type[Any], *error: Any) -> None:
    """Call the ``on_failure`` callback of a job with an error, as ``sys.exc_info`` returns it, within its timeout."""
    job.execute_failure_callback(death_penalty_class, *error)


def execute_stopped_callback(job: Any, death_penalty_class: type[Any]) -> None:
    """Call the ``on_stopped`` callback of a job, within its timeout."""
    job.execute_stopped_callback(death_penalty_class)


def with_execution(method: Method, execution: Any) -> Method:
    """Return a method of RQ's worker that records an end. RQ 2.12 takes the run from the worker, RQ 3 as an argument."""
    return method
