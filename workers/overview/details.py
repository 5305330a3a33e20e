"""What is known about one job besides its own fields: the jobs it depends on, those that depend on it, and its last error."""

from collections.abc import Iterable
from typing import Any

import msgspec

from notify.server import Client
from workers import rq_keys
from workers.jobs import Job, Progress, read_job_rows, read_progress, stored_error
from workers.overview.job_filter import ListedJob

__all__ = ["JobDetails", "details_of"]

MOST = 100
"""Jobs that are listed on each side, at most."""


class JobDetails(msgspec.Struct, frozen=True):
    """The surroundings of a job.

    Args:
        depends_on: the ids of the jobs that it depends on, each with the status of that job, or ``gone``.
        dependents: the same of the jobs that depend on it and still wait for it; at most a hundred.
        traceback: the text of the error with which its last run failed; empty if there is none.
        results: how many results of runs are kept.
        progress: what its last run reported last about its progress; ``None`` if that reported nothing.
    """

    depends_on: dict[str, str]
    dependents: dict[str, str]
    traceback: str
    results: int
    progress: Progress | None = None


def details_of(job: Job) -> JobDetails:
    """Read the surroundings of a job. Raises `ServerError` if Redis did not answer, or refused."""
    client = Client.of(job.connection)
    with client.translating(f"reading job {job.id}"):
        members: Any = client.sscan(rq_keys.dependents(job.id), count=MOST)[1]
        dependents = sorted(member.decode(errors="replace") for member in members)[:MOST]
        results: Any = client.xlen(rq_keys.results(job.id))
        error = stored_error(job) if results else ""
        progress = read_progress(job)
        statuses = _statuses(client, [*job._dependency_ids, *dependents])
    return JobDetails(_pick(statuses, job._dependency_ids), _pick(statuses, dependents), error.strip(), results, progress)


def _statuses(client: Client, job_ids: list[str]) -> dict[str, str]:
    rows = read_job_rows(client, job_ids) if job_ids else ()
    return {job.id: ListedJob.of(job, fields).status for job, fields in rows}


def _pick(statuses: dict[str, str], job_ids: Iterable[str]) -> dict[str, str]:
    return {job_id: statuses.get(job_id, "gone") for job_id in job_ids}
