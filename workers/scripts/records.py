"""Scripts about the records of jobs: counts them by status, deletes them, and publishes the transitions that RQ's code makes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from workers import rq_keys
from workers.scripts.runner import JobScriptRunner

__all__ = ["COUNT_AT_ONCE", "Deleted", "JobCounts", "RecordScripts"]

COUNT_AT_ONCE: Final = 1_000
"""Jobs that one script counts; the script occupies the server for a millisecond or two."""


class JobCounts(NamedTuple):
    """Some jobs in numbers.

    Args:
        by_status: the number of jobs by RQ's status.
        oldest_us: the time, by the server's clock, when the oldest queued job with a ``turn`` was enqueued; ``None`` if there is none.
        enqueued_at: the least ``enqueued_at`` of queued jobs that plain RQ enqueued, as RQ writes it; empty if there is none.
    """

    by_status: dict[str, int]
    oldest_us: int | None
    enqueued_at: str


class Deleted(NamedTuple):
    """How many jobs were deleted, how many stay because others wait for them, and how many because they have not ended or are gone."""

    deleted: int
    awaited: int
    not_ended: int


class RecordScripts(JobScriptRunner):
    """Scripts that count and delete jobs, and publish events of jobs."""

    def count_jobs(self, key: str, *, first: int = 0, count: int = COUNT_AT_ONCE) -> JobCounts:
        """Count up to ``count`` jobs in the list of a queue, or in a registry, from the index ``first`` on."""
        args: list[str | bytes | int] = [first, count, rq_keys.job("")]
        oldest, enqueued_at, *rest = self.run("count_jobs", [key], args, action=f"counting the jobs in {key!r}")
        by_status = {status.decode(errors="replace"): int(count) for status, count in zip(rest[::2], rest[1::2], strict=True)}
        return JobCounts(by_status, int(oldest) if oldest else None, enqueued_at.decode(errors="replace"))

    def delete(self, job_ids: Sequence[str]) -> Deleted:
        """Delete those of the jobs that have ended, with their results. A job on which others wait stays."""
        return Deleted(*self.run_with_common_args("delete", [], list(job_ids), action=f"deleting {len(job_ids)} jobs"))

    def publish_event(
        self, queue: str, job_id: str, contents: Mapping[str, Any], *, worker: str, pipeline: Any = None, seconds: float | None = None
    ) -> None:
        """Count a transition that RQ's code makes, and publish its event if the settings select events of that status.

        Args:
            queue: the queue of the job.
            job_id: its id.
            contents: ``status``, one of `notify.settings.JOB_EVENTS`; ``reason``, the cause in words; and further members. Without
                ``at_ms`` the time is that of the transaction.
            worker: the worker that ran the job.
            pipeline: the transaction of the transition: so the event is published if and only if the transition is made. By default
                it is published at once.
            seconds: how long the run took, if that is known.
        """
        more = {name: value for name, value in contents.items() if name not in ("status", "at_ms")}
        members = msgspec.json.encode(more)[1:-1]
        args = [queue, job_id, contents["status"], members, worker, contents.get("at_ms") or ""]
        args.append("" if seconds is None else f"{seconds:.6f}")
        if pipeline is None:
            self.run_with_common_args("publish_event", [], args, action=f"publishing an event of job {job_id}")
            return
        # EVAL, not EVALSHA: a transaction cannot load the script and try again.
        pipeline.eval(self.source("publish_event"), 0, *self.common_args(), *args)
