"""Jobs that depend on other jobs: what their enqueueing adds to RQ's ``depends_on``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.jobs import Job
from workers.scripts import DependentScripts

__all__ = ["OnDependencyFailure", "cancelled_with_dependencies", "check_dependency_option", "checking_dependents", "met_in"]

OnDependencyFailure: TypeAlias = Literal["cancel", "wait"]
"""The effect on a waiting job when a job on which it depends fails for good, is stopped or cancelled, or disappears before it ran.

``wait``: none, as with RQ: it starts when that job is tried again and finishes. ``cancel``: it is cancelled, and its outcome names that
job; so are, in turn, the jobs that depend on it.
"""


def check_dependency_option(option: str | None, depends_on: object) -> bool:
    """Return whether a job is cancelled with the jobs on which it depends.

    Raises:
        JobDefinitionError: there is no such option, or the job depends on no other.
    """
    if option is None:
        return False
    if option not in get_args(OnDependencyFailure):
        raise JobDefinitionError(f"on_dependency_failure is {option!r}: choose one of {', '.join(get_args(OnDependencyFailure))}")
    if not depends_on:
        raise JobDefinitionError("on_dependency_failure is for a job with depends_on: give that as well, or leave it out")
    return option == "cancel"


@contextmanager
def cancelled_with_dependencies(client: Client, job: Job) -> Iterator[None]:
    """Have the job that the block enqueues cancelled when a job on which it depends ends without success."""
    scripts = DependentScripts(client)
    scripts.await_success(job.id)  # first: a leader finds it whatever happens
    yield
    scripts.check_new(job.id)


@contextmanager
def met_in(pipeline: Any, job: Any) -> Iterator[None]:
    """Note in the transaction of RQ's that records the success of a job, which the block prepares, that its dependents wait for it no more.

    The hash of the job may be gone before they start.
    """
    waiting: Any = job.connection.smembers(job.dependents_key)
    yield
    for dependent in waiting:
        pipeline.srem(rq_keys.dependencies(dependent.decode()), job.id)


@contextmanager
def checking_dependents(client: Client, job: Any) -> Iterator[None]:
    """Cancel the jobs that are to be cancelled with a job which has ended, after the block has enqueued those that waited for it."""
    yield
    DependentScripts(client).check_dependents_of(job.id)
