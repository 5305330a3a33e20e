"""What is kept of a job: RQ's hash, with what it needs, and nothing in it but JSON."""

import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn, Self

import msgspec
import redis
import rq.job
from rq.exceptions import NoSuchJobError, TimeoutFormatError
from rq.job import JobStatus

from notify.server import Client
from workers.errors import JobDefinitionError, JobError, JobNotFoundError, JobRefusedError
from workers.jobs.definition import JobFunctions
from workers.jobs.requirements import Policy, Requirements, read_needs
from workers.jobs.serializer import JsonSerializer
from workers.jobs.stop_ladder import StopSign
from workers.scripts import unpacked

__all__ = ["JobRecord"]

TAKEN: Final = {"queued": JobStatus.QUEUED, "held": JobStatus.DEFERRED, "cancelled": JobStatus.CANCELED}

log = logging.getLogger(__name__)


class JobRecord(rq.job.Job):
    """An ``rq.job.Job`` whose data are plain JSON. Its function is looked up in what a worker loaded, never imported by name."""

    _stop_sign: StopSign | None = None
    fence = ""
    """Of the run that this process does; empty elsewhere."""

    def __init__(self, id: str | None = None, connection: redis.Redis | None = None, serializer: Any = None) -> None:  # noqa: A002  # RQ's name
        if serializer is not None and serializer not in (JsonSerializer, rq.serializers.JSONSerializer, "json"):
            raise JobDefinitionError(f"jobs are kept as JSON, not by {serializer!r}: leave the serializer out")
        super().__init__(id, connection, JsonSerializer)
        self.needs: dict[str, int] = {}
        self.requirements = Requirements()
        self._functions: JobFunctions = {}
        self.is_decided = True
        """Whether what it says of its status holds. In its run, until that is sealed, it does not."""

    def bind(self, functions: JobFunctions, stop_sign: StopSign | None = None) -> None:
        """Tell the job what it may run, and in its run where it sees that it is to stop."""
        self._functions, self._stop_sign = functions, stop_sign
        self.is_decided = stop_sign is None

    def accept(self, requirements: Requirements) -> None:
        """Say on what terms the job is there; before it is enqueued."""
        self.requirements, self.needs = requirements, dict.fromkeys(sorted(requirements.needs), 0)

    def take_up(self, status: str, needs: bytes) -> None:
        """Note how it was enqueued, see `workers.scripts.enqueue.Admission`."""
        if status in TAKEN:
            self._status = TAKEN[status]
        self.needs = read_needs({b"needs": needs})

    @property
    def on_loss(self) -> Policy:
        """What the loss of something it needs does to it."""
        return self.requirements.on_loss

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

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        """Return the hash of the job as RQ writes it, with the call in plain JSON, and what we add; `restore` reads it."""
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
        return {**fields, **self.requirements.fields()}

    def restore(self, raw_data: Any) -> Any:
        """Take up what Redis holds of the job; one that a stranger spoilt is told from one that is not there."""
        try:
            # RQ would unpack the call, into however much that is.
            super().restore({**raw_data, b"data": b""} if b"data" in raw_data else raw_data)
            self.data = unpacked(raw_data[b"data"], max_bytes=self._client.settings.max_payload_bytes)
            self.needs, self.requirements = read_needs(raw_data), Requirements.read(raw_data)
        except NoSuchJobError:
            raise
        except (ValueError, TypeError, AssertionError, msgspec.DecodeError, TimeoutFormatError) as exc:
            log.warning("job %s cannot be read, and is passed over: %s", self.id, exc)
            raise _UnreadableJobError(f"job {self.id} at {self._client.address} cannot be read ({exc}): delete {self.key}") from exc

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> Self:  # noqa: A002  # RQ's name
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
            except (NoSuchJobError, ValueError, TypeError) as exc:  # the last two: no job can have such an id
                raise _NoSuchJobError(f"no job {id} at {client.address}: its time to live is over, or it never was") from exc
        assert isinstance(found, cls)  # noqa: S101  # fetch is RQ's, and untyped about its subclasses
        return found

    @property
    def _client(self) -> Client:
        return Client.of(self.connection)

    def _resolve(self, name: str | None) -> Callable[..., Any]:
        found = self._functions.get(name or "")
        return found if found is not None else self._refuse(str(name))

    def _refuse(self, what: str) -> NoReturn:
        raise JobRefusedError(
            f"job {self.id} asks for {what}, which is none of the functions that this worker loaded: "
            "mark it with @job and name its module to the worker (--import)"
        )


class _NoSuchJobError(JobNotFoundError, NoSuchJobError):
    """Ours, which RQ's code also takes for its own: it passes over ids without a job."""


class _UnreadableJobError(JobError, NoSuchJobError):
    """Ours, and for RQ's code a job that is not there: a worker passes it over and lives on."""
