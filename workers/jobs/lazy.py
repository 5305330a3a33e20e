"""A job whose hash is parsed on first use: most jobs that a worker claims run as plain calls and are never parsed."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import redis

from workers.jobs.definition import JobFunctions
from workers.jobs.handle import Job
from workers.jobs.stop_ladder import Sign
from workers.rq import PlainJob

__all__ = ["lazy_job"]


def lazy_job(
    job_class: type[PlainJob],
    job_id: str,
    fields: Mapping[bytes, bytes],
    *,
    connection: redis.Redis,
    functions: JobFunctions,
    stop_sign: Sign | None = None,
    fence: str = "",
) -> Job:
    """Return a job that parses its hash when an attribute other than its id is read.

    Args:
        job_class: the class of the job.
        job_id: its id.
        fields: its hash.
        connection: its connection.
        functions: the functions that it may call.
        stop_sign: in the process that runs the job, the flag that is set while the job is being stopped.
        fence: in that process, the fence of the run.
    """
    unread = _unread(job_class)  # type: ignore[arg-type]  # mypy does not see that RQ's class is hashable
    job: Any = unread.__new__(unread)
    # One by one, and no tuple of them: so a job is a single object for Python's garbage collector, which looks at all of many jobs.
    job._id, job._stop_sign, job.fence = job_id, stop_sign, fence
    job._unread, job._unread_connection, job._unread_functions = fields, connection, functions
    lazy: Job = job
    return lazy


class _Unread:
    """Mixin of a job whose hash is not parsed yet. Equality and hash need the id only."""

    _job_class: type[PlainJob]
    _id: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainJob) and self._id == other.id

    def __hash__(self) -> int:
        return hash(self._id)

    def __getattr__(self, name: str) -> Any:
        """Turn this object into a job of its class when an attribute other than the id is read.

        Raises:
            JobError: the hash is not that of a job.
        """
        if "_unread" not in self.__dict__:
            raise AttributeError(name)
        fields, connection, functions = (self.__dict__.pop(each) for each in ("_unread", "_unread_connection", "_unread_functions"))
        job: Any = self
        job.__class__ = self._job_class
        job.__init__(self._id, connection)
        job.bind(functions, self.__dict__["_stop_sign"])
        job.restore(fields)
        return getattr(job, name)


@cache
def _unread(job_class: type[PlainJob]) -> type[Job]:
    return type(job_class.__name__, (_Unread, job_class), {"_job_class": job_class})
