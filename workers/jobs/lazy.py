"""A job whose hash is parsed on first use: most jobs that a worker claims run as plain calls and are never parsed."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import redis

from workers.jobs.definition import JobFunctions
from workers.jobs.handle import Job
from workers.jobs.stop_ladder import StopSign
from workers.rq import PlainJob

__all__ = ["lazy_job"]


def lazy_job(
    job_class: type[PlainJob],
    job_id: str,
    fields: Mapping[bytes, bytes],
    *,
    connection: redis.Redis,
    functions: JobFunctions,
    stop_sign: StopSign | None = None,
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
    job = unread.__new__(unread)
    job.__dict__.update(_id=job_id, _stop_sign=stop_sign, fence=fence, _unread=(job_class, fields, connection, functions))
    return job


class _Unread:
    """Mixin of a job whose hash is not parsed yet. Equality and hash need the id only."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainJob) and self.__dict__["_id"] == other.id

    def __hash__(self) -> int:
        return hash(self.__dict__["_id"])

    def __getattr__(self, name: str) -> Any:
        """Turn this object into a job of its class when an attribute other than the id is read.

        Raises:
            JobError: the hash is not that of a job.
        """
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
def _unread(job_class: type[PlainJob]) -> type[Job]:
    return type(job_class.__name__, (_Unread, job_class), {})
