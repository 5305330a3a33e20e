"""A job: RQ's, with the services it needs, an end that is decided once, and nothing in it but JSON."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec
import redis
import rq.job
from rq.exceptions import NoSuchJobError, TimeoutFormatError
from rq.job import JobStatus

from notify.connection import Client
from workers.definition import JobFunctions
from workers.errors import JobDefinitionError, JobError, JobNotFoundError, JobRefusedError
from workers.ladder import StopSign
from workers.outcome import Outcome, failure
from workers.payload import unpacked
from workers.scripts import JobScripts
from workers.serializer import JsonSerializer
from workers.terms import Policy, Terms, read_needs

__all__ = ["Job", "read_jobs"]

CALLED_OFF: Final = frozenset({JobStatus.STOPPED, JobStatus.CANCELED})
ENDED: Final = frozenset({JobStatus.FINISHED, JobStatus.FAILED}) | CALLED_OFF
UNDECIDED: Final = frozenset({"ending", "queued", "deferred", "scheduled"})
"""What `JobScripts.stop` answers where a cancel has to try again."""
ENDING_S: Final = 5.0
TAKEN: Final = {"queued": JobStatus.QUEUED, "held": JobStatus.DEFERRED, "cancelled": JobStatus.CANCELED}

log = logging.getLogger(__name__)


class Job(rq.job.Job):
    """An ``rq.job.Job`` that may need services. Made by `Queue.enqueue`.

    Its data are plain JSON. Its function is looked up in what a worker loaded, never imported by name.
    """

    _stop_sign: StopSign | None = None
    fence = ""
    """Of the run that this process does; empty elsewhere."""

    def __init__(self, id: str | None = None, connection: redis.Redis | None = None, serializer: Any = None) -> None:  # noqa: A002  # RQ's name
        if serializer is not None and serializer not in (JsonSerializer, rq.serializers.JSONSerializer, "json"):
            raise JobDefinitionError(f"jobs are kept as JSON, not by {serializer!r}: leave the serializer out")
        super().__init__(id, connection, JsonSerializer)
        self.needs: dict[str, int] = {}
        self.terms = Terms()
        self._functions: JobFunctions = {}
        self.is_decided = True
        """Whether what it says of its status holds. In its run, until that is sealed, it does not."""

    def bind(self, functions: JobFunctions, stop_sign: StopSign | None = None) -> None:
        """Tell the job what it may run, and in its run where it sees that it is to stop."""
        self._functions, self._stop_sign = functions, stop_sign
        self.is_decided = stop_sign is None

    def accept(self, terms: Terms) -> None:
        """Say on what terms the job is there; before it is enqueued."""
        self.terms, self.needs = terms, dict.fromkeys(sorted(terms.needs), 0)

    def take_up(self, status: str, needs: bytes) -> None:
        """Note how it was enqueued, see `workers.entrance.Taken`."""
        if status in TAKEN:
            self._status = TAKEN[status]
        self.needs = read_needs({b"needs": needs})

    @property
    def on_loss(self) -> Policy:
        """What the loss of something it needs does to it."""
        return self.terms.on_loss

    @property
    def held(self) -> str | None:
        """What it waits for, if it is held: the name of a service, or ``any <capability>``. Read from the server."""
        with self._client.translating(f"reading job {self.id}"):
            need: Any = self.connection.hget(self.key, "held")
        return need.decode() if need is not None else None

    @property
    def func(self) -> Callable[..., Any]:
        """The function.

        Raises:
            JobRefusedError: it is none of those that were loaded.
        """
        if self.instance is not None:
            self._refuse(f"{self.func_name} of an object")
        return self._resolve(self.func_name)

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        return self._resolve(self._success_callback_name) if self._success_callback_name else None

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        return self._resolve(self._failure_callback_name) if self._failure_callback_name else None

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        # RQ looks at it in the worker itself, which a refusal would end: that comes with the call.
        name = self._stopped_callback_name
        return (self._functions.get(name) or (lambda *_: self._refuse(name))) if name else None

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
        """Enqueue a failed or stopped job again; what was lost before does not count against it."""
        self.admit()
        return super().requeue(at_front)

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

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        fields = super().to_dict(include_meta=include_meta, include_result=include_result)
        fields["data"] = self.data  # plain: RQ reads it as well, and so does redis-cli
        if not self.is_decided:
            # RQ notes the end it expects before callbacks and handlers run. One that saves the job would write that, and
            # nobody could tell it from an end that is recorded; or write over a stop.
            del fields["status"]
        if not self.data:  # what was too large to be read stays as it is stored
            del fields["data"]
        if self.needs:
            fields["needs"] = msgspec.json.encode(self.needs)
        return {**fields, **self.terms.fields()}

    def restore(self, raw_data: Any) -> Any:
        """Take up what Redis holds of the job; one that a stranger spoilt is told from one that is not there."""
        try:
            # RQ would unpack the call, into however much that is.
            super().restore({**raw_data, b"data": b""} if b"data" in raw_data else raw_data)
            self.data = unpacked(raw_data[b"data"], max_bytes=self._client.settings.max_payload_bytes)
            self.needs, self.terms = read_needs(raw_data), Terms.read(raw_data)
        except NoSuchJobError:
            raise
        except (ValueError, TypeError, AssertionError, msgspec.DecodeError, TimeoutFormatError) as exc:
            log.warning("job %s cannot be read, and is passed over: %s", self.id, exc)
            raise _UnreadableJobError(f"job {self.id} at {self._client.address} cannot be read ({exc}): delete {self.key}") from exc

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> "Job":  # noqa: A002  # RQ's name
        """Return the job of an id.

        Raises:
            JobNotFoundError: there is none.
            JobError: there is one, and it cannot be read: a stranger wrote it.
        """
        if connection is None:
            raise JobDefinitionError("fetch a job with the connection it is on: Job.fetch(id, connection=bus.redis)")
        client = Client.of(connection)
        with client.translating(f"fetching job {id}"):
            try:
                found = super().fetch(id, connection=connection, serializer=serializer)
            except _UnreadableJobError:
                raise
            except NoSuchJobError as exc:
                raise _NoSuchJobError(f"no job {id} at {client.address}: its time to live is over, or it never was") from exc
        assert isinstance(found, Job)  # noqa: S101  # fetch is RQ's, and untyped about its subclasses
        return found

    @property
    def _client(self) -> Client:
        return Client.of(self.connection)

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

    def _resolve(self, name: str | None) -> Callable[..., Any]:
        found = self._functions.get(name or "")
        return found if found is not None else self._refuse(str(name))

    def _refuse(self, what: str) -> NoReturn:
        raise JobRefusedError(
            f"job {self.id} asks for {what}, which is none of the functions that this worker loaded: "
            "mark it with @job and name its module to the worker (--import)"
        )


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


class _NoSuchJobError(JobNotFoundError, NoSuchJobError):
    """Ours, which RQ's code also takes for its own: it passes over ids without a job."""


class _UnreadableJobError(JobError, NoSuchJobError):
    """Ours, and for RQ's code a job that is not there: a worker passes it over and lives on."""
