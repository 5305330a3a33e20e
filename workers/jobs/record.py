"""The record of a job in Redis: RQ's hash, with the call as plain JSON, extended by the requirements."""

import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, Self

import msgspec
import redis

from notify.server import Client
from workers.errors import JobDefinitionError, JobNotFoundError, JobRefusedError
from workers.jobs.attempt import log_fields, origin_of
from workers.jobs.call import JsonSerializer, execute_encoded
from workers.jobs.definition import JobFunctions
from workers.jobs.fields import read_call, read_job_fields
from workers.jobs.outcome import owe_instead
from workers.jobs.requirements import Policy, Requirements, read_needs
from workers.jobs.stop_ladder import Sign
from workers.rq import DeserializationError, JobStatus, JSONSerializer, NoSuchJobError, PlainJob
from workers.scripts import RQ_STATUS

__all__ = ["JobRecord"]

_DESCRIBED: Final = re.compile(r"[\w.]{1,200}(?=\()")
"""The path of a function in the description that RQ makes of a call."""


class JobRecord(PlainJob):
    """An ``rq.job.Job`` whose call is plain JSON. Its function is looked up among the loaded functions, never imported by name."""

    _stop_sign: Sign | None = None
    fence = ""
    """The fence of the run, in the process that runs the job; empty elsewhere."""

    def __init__(self, id: str | None = None, connection: redis.Redis | None = None, serializer: Any = None) -> None:  # noqa: A002  # RQ's name
        if serializer is not None and serializer not in (JsonSerializer, JSONSerializer, "json"):
            raise JobDefinitionError(f"the serializer is {serializer!r}, but jobs are kept as JSON: leave the serializer out")
        super().__init__(id, connection, JsonSerializer)
        self.needs: dict[str, int] = {}
        self.requirements = Requirements()
        self._functions: JobFunctions = {}
        self.problem = ""
        """Why no worker can run the job: its call, or the first field that cannot be read. Empty if the job can be run."""
        self.is_foreign = False
        """Whether plain RQ pickled the call of the job. Nothing here ever unpickles it."""
        self.is_decided = True
        """False while the job runs and its result is not recorded: `to_dict` then leaves the status out."""

    def bind(self, functions: JobFunctions, stop_sign: Sign | None = None) -> None:
        """Set the functions that the job may call and, in the process that runs it, the flag that is set while the job is being stopped."""
        self._functions, self._stop_sign = functions, stop_sign
        self.is_decided = stop_sign is None

    def accept(self, requirements: Requirements) -> None:
        """Set the requirements, before the job is enqueued."""
        self.requirements, self.needs = requirements, dict.fromkeys(sorted(requirements.needs), 0)

    def take_up(self, status: str, needs: bytes) -> None:
        """Set the status and the needs that an `Admission` to a queue returned."""
        if status in RQ_STATUS:
            self._status = JobStatus(RQ_STATUS[status])
        self.needs = read_needs({b"needs": needs})

    @property
    def on_loss(self) -> Policy:
        """The effect of a loss on the job."""
        return self.requirements.on_loss

    @property
    def func(self) -> Callable[..., Any]:
        """The function that the job calls.

        Raises:
            JobRefusedError: the function was not loaded.
        """
        if self.instance is not None:
            self._refuse(f"{self.func_name} of an object")
        return self._resolve(self.func_name)

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        """RQ's callback after a success; errors as for `func`."""
        return self._resolve(self._success_callback_name) if self._success_callback_name else None

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        """RQ's callback after a failure; errors as for `func`. In a process without functions, such as RQ's tools, a worker calls it."""
        if self._failure_callback_name and not self._functions and self._stop_sign is None:
            return owe_instead
        return self._resolve(self._failure_callback_name) if self._failure_callback_name else None

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        """RQ's callback after a stop; if it was not loaded, a function that raises `JobRefusedError`."""
        # RQ reads this in the worker process, which an error here would end: so the callback raises when it is called.
        name = self._stopped_callback_name
        return (self._functions.get(name) or (lambda *_: self._refuse(name))) if name else None

    @property
    def function_name(self) -> str:
        """The path of the function that the job calls; of a call that cannot be read, as RQ's description tells it, else ``?``."""
        try:
            return str(self.func_name)
        except JobRefusedError:
            described = _DESCRIBED.match(self.description or "")
            return described[0] if described else "?"

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        """Return the hash of the job: RQ's fields, with the call as plain JSON, and our fields. `restore` reads it."""
        fields = super().to_dict(include_meta=include_meta, include_result=include_result)
        fields["data"] = self.data  # RQ would compress it; it reads both forms, and redis-cli shows this one
        if not self.is_decided:
            # RQ sets the expected status before callbacks and handlers run. If one of these saves the job, that status would
            # look like a recorded end, or overwrite a stop.
            del fields["status"]
        if not self.data:  # the call was too large to be read: the hash in Redis keeps it
            del fields["data"]
        if self.needs:
            fields["needs"] = msgspec.json.encode(self.needs)
        return {**fields, **self.requirements.fields(), **log_fields(self)}

    def _execute(self) -> Any:
        return execute_encoded(self.func, self.data)

    def restore(self, raw_data: Any) -> Any:
        """Set all attributes from the hash of the job; see `JobRecord.problem` for fields that cannot be read.

        Raises:
            NoSuchJobError: the hash is empty.
        """
        if not raw_data:
            raise _NoSuchJobError(f"no job {self.id} at {self._client.address}: its time to live is over, or it never existed")
        max_bytes = self._client.settings.max_payload_bytes
        fields, self.problem, self.is_foreign = read_job_fields(raw_data, max_bytes=max_bytes)
        data = fields[b"data"]
        super().restore({**fields, b"data": b""})  # RQ would unpack a compressed call without a limit on its size
        self.data = data
        self.needs, self.requirements, self._origin = read_needs(fields), Requirements.read(fields), origin_of(fields)

    def _deserialize_data(self) -> None:
        """Decode the call. Raises `JobRefusedError` if it cannot be decoded."""
        try:
            self._func_name, self._instance, self._args, self._kwargs = read_call(self.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise _UnreadableCallError(f"job {self.id} cannot be run: {self.problem or exc}") from exc

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> Self:  # noqa: A002  # RQ's name
        """Return the job with an id.

        Raises:
            JobNotFoundError: there is no such job.
            ServerRefusedError: the key of the job holds something else than a hash.
        """
        if connection is None:
            raise JobDefinitionError(f"job {id} cannot be fetched without a connection: Job.fetch(id, connection=bus.redis)")
        client = Client.of(connection)
        with client.translating(f"fetching job {id}"):
            try:
                found = super().fetch(id, connection=connection, serializer=serializer)
            except (NoSuchJobError, ValueError, TypeError) as exc:  # ValueError, TypeError: no job can have such an id
                raise _NoSuchJobError(f"no job {id} at {client.address}: its time to live is over, or it never existed") from exc
        assert isinstance(found, cls)  # noqa: S101  # fetch is RQ's, and untyped about its subclasses
        return found

    @property
    def _client(self) -> Client:
        return Client.of(self.connection)

    def _resolve(self, name: str | None) -> Callable[..., Any]:
        found = self._functions.get(name or "")
        return found if found is not None else self._refuse(str(name))

    def _refuse(self, what: str) -> NoReturn:
        shown = what if what.isprintable() and len(what) <= 200 else f"{what[:80]!r}..."
        raise JobRefusedError(
            f"job {self.id} calls {shown}, which this worker has not loaded: "
            "mark the function with @job and give its module to the worker (--import)"
        )


class _NoSuchJobError(JobNotFoundError, NoSuchJobError):
    """A `JobNotFoundError` that is RQ's error as well: RQ's code catches it to skip ids without a job."""


class _UnreadableCallError(JobRefusedError, DeserializationError):
    """A `JobRefusedError` that is RQ's error for a call that cannot be decoded as well."""
