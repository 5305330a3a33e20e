"""The selection of jobs by queue, status, need, function and time, the same for lists and for bulk changes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, get_args

import msgspec

from workers.errors import JobDefinitionError
from workers.jobs import Job, check_need
from workers.scripts import RQ_STATUS

__all__ = ["JobFilter", "JobStatus", "ListedJob", "is_called", "moment_of"]

JobStatus: TypeAlias = Literal[
    "queued",
    "started",
    "held",
    "deferred",
    "scheduled",
    "ready_to_enqueue",
    "rate_limited",
    "finished",
    "failed",
    "stopped",
    "canceled",
]
"""The status of a job in RQ's words, ``ready_to_enqueue`` and ``rate_limited`` are RQ 3's; and ``held``, which RQ calls deferred."""


class ListedJob(msgspec.Struct, frozen=True):
    """A job of a list, as it was when the list was read.

    Args:
        job: the job.
        status: its status, one of `JobStatus`; or what another program wrote there.
        reason: why it ended so, or cannot be run; empty also where nobody asked for it.
    """

    job: Job
    status: str
    reason: str = ""

    @classmethod
    def of(cls, job: Job, fields: Mapping[bytes, bytes], *, reason: str = "") -> "ListedJob":
        """Return a job that was read from these fields of its hash."""
        status = fields.get(b"status", b"").decode(errors="replace")
        return cls(job, "held" if status == "deferred" and fields.get(b"held") else status, reason)


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects jobs. What is ``None`` selects all.

    Args:
        queue: the name of the queue.
        status: one of `JobStatus`, or ``cancelled``.
        needs: a need of the job: the name of a service, or ``any <capability>``.
        function: the dotted path of the function, or its name alone; or a glob pattern of one of them.
        since: jobs that were enqueued, started or ended then or later.
        until: jobs of which all that happened was then or earlier.
        text: a text in the call as JSON, or in the id; upper and lower case are the same.
        reason: a text in the reason for which the job ended; upper and lower case are the same.
    """

    queue: str | None = None
    status: str | None = None
    needs: str | None = None
    function: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    reason: str | None = None

    def checked(self) -> "JobFilter":
        """Return the filter with its values as they are stored.

        Raises:
            JobDefinitionError: there is no such status, ``needs`` names no service, or the pattern is empty.
        """
        if self.status is not None and self.status not in (*get_args(JobStatus), "cancelled"):
            raise JobDefinitionError(f"status is {self.status!r}: choose one of {', '.join(get_args(JobStatus))}")
        if self.function == "":
            raise JobDefinitionError("function is empty: give a dotted path, the name of a function, or a pattern such as 'orders.*'")
        since, until = (moment.astimezone(UTC) if moment is not None else None for moment in (self.since, self.until))
        needs = check_need(self.needs) if self.needs is not None else None
        status = "canceled" if self.status == "cancelled" else self.status
        return msgspec.structs.replace(self, status=status, needs=needs, since=since, until=until)

    @property
    def rq_status(self) -> str | None:
        """The status in RQ's words."""
        return None if self.status is None else RQ_STATUS.get(self.status, self.status)

    def matches(self, listed: ListedJob) -> bool:
        """Return whether a job is selected; for a filter from `checked`."""
        job = listed.job
        return (
            (self.queue is None or job.origin in (self.queue, ""))  # without an origin, it cannot be read
            and (self.status is None or listed.status == self.status)
            and (self.needs is None or self.needs in job.needs)
            and (self.function is None or is_called(job.function_name, self.function))
            and (self.since is None or _last_moment(job) >= self.since)
            and (self.until is None or _last_moment(job) <= self.until)
            and (self.text is None or _contains(job.data.decode(errors="replace"), self.text) or _contains(job.id, self.text))
            and (self.reason is None or _contains(listed.reason, self.reason))
        )


def moment_of(moment: datetime | None) -> datetime | None:
    """Return a time of a job with its time zone: RQ's are UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def is_called(path: str, pattern: str) -> bool:
    """Return whether the function with a path is selected by a path, a name, or a pattern of one of them."""
    return fnmatchcase(path, pattern) or fnmatchcase(path.rpartition(".")[2], pattern)


def _contains(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def _last_moment(job: Job) -> datetime:
    moments = map(moment_of, (job.created_at, job.enqueued_at, job.started_at, job.ended_at))
    return max((moment for moment in moments if moment is not None), default=datetime.min.replace(tzinfo=UTC))
