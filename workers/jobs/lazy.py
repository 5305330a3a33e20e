"""A job as a claim returned it: most are run without ever being read as a whole."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import redis
import rq.job

from workers.jobs.definition import JobFunctions
from workers.jobs.handle import Job
from workers.jobs.stop_ladder import StopSign

__all__ = ["lazy_job"]


def lazy_job(
    job_class: type[rq.job.Job],
    job_id: str,
    fields: Mapping[bytes, bytes],
    *,
    connection: redis.Redis,
    functions: JobFunctions,
    stop_sign: StopSign | None = None,
    fence: str = "",
) -> Job:
    """Return a job that knows its id, and reads its fields when something else of it is asked for.

    Args:
        job_class: what it is.
        job_id: its id.
        fields: its hash.
        connection: what it is on.
        functions: what it may run.
        stop_sign: where it sees that it is to stop.
        fence: of the run that has it, in the process that does the run.
    """
    unread = _unread(job_class)  # type: ignore[arg-type]  # a class is hashable, whatever mypy makes of RQ's
    job = unread.__new__(unread)
    job.__dict__.update(_id=job_id, _stop_sign=stop_sign, fence=fence, _unread=(job_class, fields, connection, functions))
    return job


class _Unread:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, rq.job.Job) and self.__dict__["_id"] == other.id

    def __hash__(self) -> int:
        return hash(self.__dict__["_id"])

    def __getattr__(self, name: str) -> Any:
        """Become the job, on the first question that its id does not answer. Raises `JobError` if it cannot be read."""
        if "_unread" not in self.__dict__:
            raise AttributeError(name)
        job_class, fields, connection, functions = self.__dict__.pop("_unread")
        self.__class__ = job_class
        job_class.__init__(self, self.__dict__["_id"], connection)
        job: Any = self
        job.bind(functions, self.__dict__["_stop_sign"])
        job.restore(fields)
        return getattr(job, name)


@cache
def _unread(job_class: type[rq.job.Job]) -> type[Job]:
    return type(job_class.__name__, (_Unread, job_class), {})
