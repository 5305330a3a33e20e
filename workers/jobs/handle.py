"""The class `Job`: RQ's job, extended by the services it requires, and by an outcome that says why it ended."""

import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import redis

from notify.server import Client, is_of_another_type, whole
from workers.errors import JobDefinitionError, JobNotFoundError, JobRefusedError, JobResultError
from workers.jobs.call import typed_result
from workers.jobs.outcome import Outcome, failure, read_outcome
from workers.jobs.progress import report_progress
from workers.jobs.reason import reason_in, short_reason
from workers.jobs.record import JobRecord
from workers.rq import PUBSUB_CHANNEL_TEMPLATE, InvalidJobOperation, JobStatus, PlainJob
from workers.scripts import DependentScripts, EnqueueScripts, JobScripts, NewJob

__all__ = ["Job", "read_job_rows", "read_jobs", "stored_error"]

STOPPED_OR_CANCELED: Final = frozenset({JobStatus.STOPPED, JobStatus.CANCELED})
ENDED: Final = frozenset({JobStatus.FINISHED, JobStatus.FAILED}) | STOPPED_OR_CANCELED
NO_HASH: Final = "its key is not a hash"
"""The `Job.problem` of a job in whose key another program keeps something else."""
_UNREADABLE: Final = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, zlib.error)
"""What RQ's code raises for a result that another program wrote."""


class Job(JobRecord):
    """An ``rq.job.Job`` that may require services. Made by `Queue.enqueue`.

    Its data are plain JSON. Its function is looked up among those that a worker loaded, never imported by name.
    """

    progress = report_progress

    @property
    def held(self) -> str | None:
        """The need for which the job is held: the name of a service, or ``any <capability>``; else ``None``. Read from Redis."""
        (need,) = _read_fields(self, self._client, "held") or [None]
        return need.decode(errors="replace") if need is not None else None

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return RQ's status of the job; a held job is ``deferred``, and one that RQ does not know ``created``.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        with self._client.translating(f"reading job {self.id}"), suppress(ValueError):  # RQ has no such status
            return _status_of(self, super().get_status, self._client, refresh and self.problem != NO_HASH)
        return JobStatus.CREATED

    def return_value(self, refresh: bool = False) -> Any:
        """Return the result, as annotated if `Queue.enqueue` got the function. May raise `ServerError` or, if spoilt, `JobResultError`."""
        with self._client.translating(f"reading job {self.id}"):
            value = _result_of(self, super().return_value, refresh)
        return value if value is None or not self._functions else typed_result(self._functions, self.func_name, value)

    @property
    def stopping(self) -> bool:
        """Whether the job is being stopped. Its own code can ask this if the `StopLadder` grants it time; Redis is not read."""
        return self._stop_sign is not None and self._stop_sign.is_up

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended, read from Redis; ``None`` before its end.

        Raises:
            JobNotFoundError: the job no longer exists: its time to live is over.
        """
        raw = _read_fields(self, self._client, "status", "outcome")
        if raw is None:
            return failure(NO_HASH)
        if raw[0] is None:
            raise JobNotFoundError(f"no job {self.id} at {self._client.address}: its time to live is over, or it never existed")
        try:
            status = JobStatus(raw[0].decode())
        except ValueError:  # written by hand: a worker that claims the job refuses it
            return None
        if status not in ENDED:
            return None
        if status in STOPPED_OR_CANCELED and raw[1] is not None:
            return read_outcome(raw[1], otherwise="cancelled" if status == JobStatus.CANCELED else "stopped")
        if status == JobStatus.FAILED:
            return _failed_outcome(self, self._client, raw[1])
        return Outcome("cancelled" if status == JobStatus.CANCELED else str(status.value))

    def wait(self, timeout_s: float | None = None) -> Outcome | None:
        """Wait until the job has ended.

        Args:
            timeout_s: the most seconds to wait; ``None`` for no limit.

        Returns:
            How the job ended; ``None`` if it did not end in time.

        Raises:
            JobNotFoundError: the job no longer exists: its time to live is over.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.005
        while (outcome := self.outcome) is None:
            if deadline is not None and time.monotonic() + pause_s > deadline:
                return None
            time.sleep(pause_s * random.uniform(0.8, 1.0))
            pause_s = min(0.2, pause_s * 1.5)
        return outcome

    def cancel(self, reason: str = "", **rq_options: Any) -> Outcome | None:  # type: ignore[override]  # RQ takes a pipeline there
        """Cancel the job: a waiting job never starts, a running job is stopped and can no longer finish.

        Args:
            reason: stored in the outcome.
            rq_options: none is supported; a cancel needs an answer, which RQ's ``pipeline`` cannot give.

        Returns:
            How the job ended: ``cancelled``, ``stopped``, or the outcome that it had before; ``None`` if a worker has been
            recording its end for five seconds, or died while it did.

        Raises:
            JobDefinitionError: options of RQ were given.
            JobNotFoundError: there is no such job.
        """
        if rq_options:
            raise JobDefinitionError(f"cancel() does not support {', '.join(rq_options)}: give a reason only")
        scripts = JobScripts(self._client)
        unbegun = scripts.cancel_or_stop(self.id, reason=short_reason(reason) or "cancelled")
        outcome = self.outcome
        if outcome is not None and outcome.status == "stopped":
            self._send_stop_command()
        DependentScripts(self._client).check_dependents_of(self.id)
        if unbegun:
            scripts.wait_until_begun_or_not(unbegun)
        return outcome

    def admit(self) -> None:
        """Set the serial of the last loss of each need (see `read_needs`), so that earlier losses do not count when the job is claimed."""
        if not self.needs:
            return
        names = sorted(self.needs)
        with self._client.translating(f"admitting job {self.id}"):
            serials: Any = self._client.hmget(JobScripts(self._client).keys.losses, names)
        self.needs = {name: whole(serial, 0) for name, serial in zip(names, serials, strict=True)}

    def requeue(self, at_front: bool = False) -> PlainJob:
        """Enqueue a failed or stopped job again; earlier losses do not count. `workers.requeue` also takes a cancelled job.

        Raises:
            JobRefusedError: the job did not fail and was not stopped.
            ServerError: Redis did not answer, or refused.
        """
        if self.get_status() not in (JobStatus.FAILED, JobStatus.STOPPED) or not _put_back(self, at_front=at_front):
            raise _NotFailedError(f"job {self.id} did not fail and was not stopped: workers.requeue() also takes a cancelled job")
        return self

    def retry(self, queue: Any, pipeline: Any) -> None:
        """Retry the job, unless it was stopped or cancelled: RQ would retry every job whose worker died."""
        if self._status not in STOPPED_OR_CANCELED:
            super().retry(queue, pipeline)

    def set_status(self, status: JobStatus, pipeline: Any = None) -> None:
        """Write the status; a job that was stopped or cancelled cannot become failed."""
        if status == JobStatus.SCHEDULED and pipeline is None:
            self._status = status  # RQ's code would write it ahead of the transaction that schedules the job, which writes it too
        elif status != JobStatus.FAILED or self._status not in STOPPED_OR_CANCELED:
            super().set_status(status, pipeline)

    def prepare_for_execution(self, worker_name: str, pipeline: Any) -> None:
        """Set the attributes to what the claim wrote. RQ would write them to Redis again, and so could undo a stop in between."""
        self.worker_name = worker_name
        self.started_at = self.last_heartbeat = datetime.now(UTC)
        self._status = JobStatus.STARTED

    def _send_stop_command(self) -> None:
        _send_stop_command(self, self._client)


def read_jobs(client: Client, job_ids: Sequence[str]) -> Iterator[Job]:
    """Read jobs in one round trip. Yield those that exist; `Job.problem` tells of one that cannot be read."""
    return (found for found, _ in read_job_rows(client, job_ids))


def read_job_rows(client: Client, job_ids: Sequence[str]) -> Iterator[tuple[Job, Mapping[bytes, bytes]]]:
    """Read jobs as `read_jobs` does. Yield each with its hash."""
    with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(Job.key_for(job_id))
        rows: list[Any] = pipe.execute(raise_on_error=False)
    for job_id, row in zip(job_ids, rows, strict=True):
        if is_of_another_type(row):
            yield _unreadable(job_id, client, NO_HASH), {}
        elif isinstance(row, Exception):
            raise row
        elif row:
            yield _read_job(job_id, row, client), row


def _read_job(job_id: str, row: Any, client: Client) -> Job:
    try:
        found = Job(job_id, connection=client)
    except (ValueError, TypeError):
        return _unreadable(job_id, client, "its id has other characters than letters, digits, _ and -")
    found.restore(row)
    return found


def _unreadable(job_id: str, client: Client, problem: str) -> Job:
    found = Job(connection=client)
    found._id, found.data, found.problem, found._status = job_id, b"", problem, JobStatus.CREATED
    return found


def _read_fields(job: PlainJob, client: Client, *names: str) -> list[bytes | None] | None:
    """Return fields of the hash of a job; ``None`` if its key holds something else."""
    with client.translating(f"reading job {job.id}"):
        try:
            values: Any = job.connection.hmget(job.key, *names)
        except redis.ResponseError as exc:
            if not is_of_another_type(exc):
                raise
            return None
    return list(values)


def _send_stop_command(job: PlainJob, client: Client) -> None:
    """Send a stop command to the worker that runs a job. A worker that misses it finds out when it checks the run next."""
    with client.translating(f"stopping job {job.id}"):
        name: Any = client.hget(job.key, "worker_name")
        if name:
            command = msgspec.json.encode({"command": "stop-job", "job_id": job.id})
            client.publish(PUBSUB_CHANNEL_TEMPLATE % name.decode(errors="replace"), command)


def _status_of(job: PlainJob, read: Callable[[bool], JobStatus], client: Client, refresh: bool) -> JobStatus:
    """Return the status that RQ's code reads. A job whose field somebody emptied is ``created``, like one with an unknown status."""
    try:
        return read(refresh)
    except InvalidJobOperation:  # there is no status: perhaps the job is gone
        if not client.exists(job.key):
            raise
        return JobStatus.CREATED


def _result_of(job: PlainJob, read: Callable[[bool], Any], refresh: bool) -> Any:
    """Return the result that RQ's code reads, or raise `JobResultError` if another program spoilt it."""
    try:
        return read(refresh)
    except (*_UNREADABLE, redis.ResponseError) as exc:
        if isinstance(exc, redis.ResponseError) and not is_of_another_type(exc):
            raise
        raise JobResultError(f"the result of job {job.id} was written by another program: run the job again ({exc!r:.200})") from exc


def _failed_outcome(job: PlainJob, client: Client, raw: bytes | None) -> Outcome:
    """Return the outcome of a failed job: what the claim that refused it wrote, or the reason in the traceback that RQ stores."""
    refused = read_outcome(raw, otherwise="")
    if refused.status == "failed":
        return refused
    with client.translating(f"reading job {job.id}"):
        return failure(reason_in(stored_error(job)))


def stored_error(job: PlainJob) -> str:
    """Return the text of the last error of a job, read from Redis; empty if there is none, or another program spoilt it."""
    try:
        result = job.latest_result()
    except (*_UNREADABLE, redis.ResponseError):
        return ""
    return str(result.exc_string or "") if result else ""


def _put_back(job: Job, *, at_front: bool) -> bool:
    """Put an ended job on its queue, by our script: RQ's code would publish nothing. Returns whether it still was an ended job."""
    client = Client.of(job.connection)
    job.started_at = job.ended_at = None
    job.enqueued_at = datetime.now(UTC)
    fields = {**job.to_dict(), "status": "queued"}
    new_job = NewJob(job.id, fields, "ended", at_front, job.ttl, fields.pop("needs", b""))
    (admission,) = EnqueueScripts(client).enqueue(job.origin, [new_job])
    job.take_up(admission.status, admission.needs)
    return admission.status != "refused"


class _NotFailedError(JobRefusedError, InvalidJobOperation):
    """A `JobRefusedError` that is RQ's error as well, for code that catches RQ's."""
