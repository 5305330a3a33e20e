"""A job: RQ's, with the services it needs and an end that is decided once."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import rq.job
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import JobStatus

from notify.server import Client
from workers.errors import JobDefinitionError, JobNotFoundError, JobRefusedError
from workers.jobs.outcome import Outcome, failure
from workers.jobs.record import JobRecord
from workers.scripts import JobScripts

__all__ = ["Job", "read_jobs"]

CALLED_OFF: Final = frozenset({JobStatus.STOPPED, JobStatus.CANCELED})
ENDED: Final = frozenset({JobStatus.FINISHED, JobStatus.FAILED}) | CALLED_OFF
UNDECIDED: Final = frozenset({"ending", "queued", "deferred", "scheduled"})
"""What `JobScripts.stop` answers where a cancel has to try again."""
ENDING_S: Final = 5.0


class Job(JobRecord):
    """An ``rq.job.Job`` that may need services. Made by `Queue.enqueue`.

    Its data are plain JSON. Its function is looked up in what a worker loaded, never imported by name.
    """

    @property
    def held(self) -> str | None:
        """What it waits for, if it is held: the name of a service, or ``any <capability>``. Read from the server."""
        with self._client.translating(f"reading job {self.id}"):
            need: Any = self.connection.hget(self.key, "held")
        return need.decode() if need is not None else None

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Where it stands, in RQ's words; one that is held is ``deferred`` there. Raises `ServerError` if the server does not answer."""
        with self._client.translating(f"reading job {self.id}"):
            return super().get_status(refresh)

    def return_value(self, refresh: bool = False) -> Any:
        """What it returned, ``None`` if it has not. Raises `ServerError` if the server does not answer."""
        with self._client.translating(f"reading job {self.id}"):
            return super().return_value(refresh)

    @property
    def stopping(self) -> bool:
        """Whether the job is being stopped; for its own code, which is granted time by a `StopLadder`. Costs nothing to ask."""
        return self._stop_sign is not None and self._stop_sign.is_up

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, read from the server; ``None`` while it has not.

        Raises:
            JobNotFoundError: it is gone, its time to live is over.
        """
        with self._client.translating(f"reading job {self.id}"):
            raw: Any = self.connection.hmget(self.key, "status", "outcome")
        if raw[0] is None:
            raise JobNotFoundError(f"no job {self.id} at {self._client.address}: its time to live is over, or it never was")
        status = JobStatus(raw[0].decode())
        if status not in ENDED:
            return None
        if status in CALLED_OFF and raw[1] is not None:
            return msgspec.json.decode(raw[1], type=Outcome)
        if status == JobStatus.FAILED:
            return self._failed()
        return Outcome("cancelled" if status == JobStatus.CANCELED else str(status.value))

    def wait(self, timeout_s: float | None = None) -> Outcome | None:
        """Wait until the job has ended.

        Args:
            timeout_s: for how long; ``None`` as long as it takes.

        Returns:
            How it ended, ``None`` if it has not in time.

        Raises:
            JobNotFoundError: it is gone, its time to live is over.
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
        """Cancel the job: a waiting one never starts, a running one is stopped and cannot finish any more.

        Args:
            reason: kept with its outcome.
            rq_options: none is supported; RQ's ``pipeline`` cannot carry a decision.

        Returns:
            How it ended: ``cancelled``, ``stopped``, or what had happened to it before; ``None`` if a worker has been
            recording its end for seconds, or died over it.

        Raises:
            JobDefinitionError: RQ's options were given.
            JobNotFoundError: there is no such job.
        """
        if rq_options:
            raise JobDefinitionError(f"cancel() takes a reason, not {', '.join(rq_options)}")
        scripts, reason = JobScripts(self._client), reason or "cancelled"
        deadline = time.monotonic() + ENDING_S
        # Between the two steps it can start, end, or be queued again for a retry: then its turn comes again.
        while not scripts.cancel([self.id], reason=reason):
            if scripts.stop(self.id, reason=reason) not in UNDECIDED or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        outcome = self.outcome
        if outcome is not None and outcome.status == "stopped":
            self._tell_worker()
        return outcome

    def admit(self) -> None:
        """Note what was lost so far: whatever is lost from here on, or is not there then, the claim sees."""
        if not self.needs:
            return
        names = sorted(self.needs)
        with self._client.translating(f"admitting job {self.id}"):
            serials: Any = self._client.hmget(JobScripts(self._client).keys.losses, names)
        self.needs = {name: int(serial or 0) for name, serial in zip(names, serials, strict=True)}

    def requeue(self, at_front: bool = False) -> rq.job.Job:
        """Enqueue a failed or stopped job again; what was lost before does not count against it. `workers.requeue` takes more.

        Raises:
            JobRefusedError: it is none of those.
            ServerError: the server did not answer, or refused.
        """
        self.admit()
        with self._client.translating(f"enqueueing job {self.id} again"):
            try:
                return super().requeue(at_front)
            except InvalidJobOperation as exc:
                raise _NotFailedError(f"job {self.id} did not fail: only what failed or was stopped is tried again so") from exc

    def retry(self, queue: Any, pipeline: Any) -> None:
        """Try again, unless the job was stopped or cancelled: RQ tries all whose worker died."""
        if self._status not in CALLED_OFF:
            super().retry(queue, pipeline)

    def set_status(self, status: JobStatus, pipeline: Any = None) -> None:
        """Write the status; a job that was stopped or cancelled does not fail after that."""
        if status != JobStatus.FAILED or self._status not in CALLED_OFF:
            super().set_status(status, pipeline)

    def prepare_for_execution(self, worker_name: str, pipeline: Any) -> None:
        """Take up what the claim wrote; writing it again here could undo a stop in between."""
        self.worker_name = worker_name
        self.started_at = self.last_heartbeat = datetime.now(UTC)
        self._status = JobStatus.STARTED

    def _failed(self) -> Outcome:
        """How it failed: the error is the last line of what RQ keeps of it."""
        with self._client.translating(f"reading job {self.id}"):
            result = self.latest_result()
        lines = (result.exc_string or "").strip().splitlines() if result else []
        return failure(lines[-1].strip() if lines else "")

    def _tell_worker(self) -> None:
        """Wake the worker that runs it. One that hears nothing finds out by itself, from the state of the job."""
        with self._client.translating(f"stopping job {self.id}"):
            name: Any = self.connection.hget(self.key, "worker_name")
            if name:
                command = msgspec.json.encode({"command": "stop-job", "job_id": self.id})
                self.connection.publish(rq.command.PUBSUB_CHANNEL_TEMPLATE % name.decode(), command)


def read_jobs(client: Client, job_ids: Sequence[str]) -> Iterator[Job]:
    """Yield those of the jobs that are there and can be read; one round trip."""
    with client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(Job.key_for(job_id))
        rows: list[Any] = pipe.execute()
    for job_id, row in zip(job_ids, rows, strict=True):
        found = Job(job_id, connection=client)
        with suppress(NoSuchJobError):  # what cannot be read is that for RQ as well
            if row:
                found.restore(row)
                yield found


class _NotFailedError(JobRefusedError, InvalidJobOperation):
    """Ours, which RQ's code also takes for its own."""
