"""The only way onto a queue: one script that checks the needs of jobs and puts them on the list, cancels or holds them."""

import logging
from collections.abc import Iterator, MutableMapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import redis

from notify.errors import ServerUnreachableError
from notify.server import Client
from notify.values import in_batches
from workers import rq_keys
from workers.scripts.plain import FAILURE_TTL, PlainEnqueueScript
from workers.scripts.runner import JobScriptRunner

__all__ = ["PLAIN", "RQ_STATUS", "Admission", "Condition", "EnqueueScripts", "NewJob"]

AT_ONCE: Final = 100
"""The most jobs that one script enqueues; the script occupies the server for a millisecond or two."""
BYTES_AT_ONCE: Final = 256 * 1024
"""The jobs that one script enqueues end with the one whose call reaches this size."""
IN_FLIGHT: Final = 2
"""Scripts that are sent before the answer to the first is read."""

RQ_STATUS: Final = {"queued": "queued", "held": "deferred", "cancelled": "canceled"}
"""The status that RQ's hash of a job has after each `Admission` but ``refused``, which leaves the hash as it was."""

Condition: TypeAlias = Literal["", "new", "unique", "ended", "apart"]
"""A condition for enqueueing a job.

``new``: it is a plain call that was encoded just now, with a new id, so there is no check. Without needs its fields are ``created_at`` and
``enqueued_at``, which are equal, ``data``, ``description``, ``origin``, ``timeout``, ``failure_ttl``, which is `FAILURE_TTL`, and the
status ``queued``. ``unique``: there must be no job with that id. ``ended``: the job with that id must have failed, or been stopped or
cancelled. ``apart``: it must be held, deferred or scheduled. Empty: a job with that id is replaced.
"""

Fields: TypeAlias = MutableMapping[Any, Any]


log = logging.getLogger(__name__)


class NewJob(NamedTuple):
    """A job on its way onto a queue.

    Args:
        job_id: the id of the job.
        fields: the hash of the job, as RQ writes it.
        condition: the condition under which it is enqueued.
        at_front: whether it goes to the front of the queue.
        ttl_s: seconds for which it may wait; ``None`` for no limit.
        needs: the needs of the job as in its hash, a JSON object; the script sets the serials.
    """

    job_id: str
    fields: Fields
    condition: Condition = ""
    at_front: bool = False
    ttl_s: float | None = None
    needs: str | bytes = ""


class Admission(NamedTuple):
    """The result of enqueueing a job.

    Args:
        status: ``queued``, ``cancelled``, ``held``, or ``refused`` (its condition does not hold).
        missing: the need for which it was cancelled or held, or empty.
        needs: the needs as the hash of the job holds them now, or empty.
        overdue: a service that it waits for on the queue, because that is silent but not withdrawn yet; else empty.
    """

    status: str
    missing: str
    needs: bytes
    overdue: str = ""


PLAIN: Final = Admission("queued", "", b"")
"""What becomes of each plain job."""


class EnqueueScripts(JobScriptRunner):
    """Puts jobs on queues."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._plain_script = PlainEnqueueScript(client)

    def enqueue(self, queue: str, new_jobs: Sequence[NewJob]) -> list[Admission]:
        """Put jobs on a queue, in their order. If the answer is lost, the call is repeated; no job is enqueued twice.

        Raises:
            ServerUnreachableError: no answer, twice. The jobs may be on the queue.
            ServerRefusedError: the server answered with an error.
        """
        if len(new_jobs) == 1 and _is_plain(new_jobs[0]):
            self.enqueue_plain(queue, new_jobs[0])
            return [PLAIN]
        name, args = self._script_for(queue, new_jobs)
        try:
            return _admissions(self.run(name, [rq_keys.QUEUES], args, action=f"enqueueing on {queue!r}"), len(new_jobs))
        except ServerUnreachableError:
            return self._enqueue(queue, new_jobs, again="again")

    def enqueue_plain(self, queue: str, new_job: NewJob) -> None:
        """Put a job on a queue that is new, without needs and for the end of the list, as `enqueue` does."""
        try:
            self._plain_script.enqueue(queue, new_job.job_id, new_job.fields)
        except ServerUnreachableError:
            self._enqueue(queue, [new_job], again="again")

    def enqueue_many(self, queue: str, new_jobs: Sequence[NewJob]) -> list[Admission]:
        """Put any number of jobs on a queue, as `enqueue` does. While the server runs one script, the jobs for the next are packed."""
        chunks = list(in_batches(new_jobs, _size_of, most=AT_ONCE, max_bytes=BYTES_AT_ONCE))
        if len(chunks) == 1:
            return EnqueueScripts.enqueue(self, queue, chunks[0])  # not that of a derived class, which does more with the admissions
        admissions: list[Admission] = []
        answered = 0
        try:
            for answer in self.client.pipelined(self._commands(queue, chunks), in_flight=IN_FLIGHT):
                admissions += _admissions(answer, len(chunks[answered]))
                answered += 1
        except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
            log.warning("enqueueing again, since the answer was lost: %s", self.client.translated(exc, f"enqueueing on {queue!r}"))
        except redis.exceptions.NoScriptError:
            log.info("enqueueing again, since the server has forgotten the script")
        except redis.RedisError as exc:
            raise self.client.translated(exc, f"enqueueing on {queue!r}") from exc
        for chunk in chunks[answered:]:
            admissions += self._enqueue(queue, chunk, again="again")
        return admissions

    def _commands(self, queue: str, chunks: Sequence[Sequence[NewJob]]) -> Iterator[list[Any]]:
        """Return the commands that enqueue jobs. The first of each script has its source, which takes the server longer than its name."""
        known: set[str] = set()
        for chunk in chunks:
            name, args = self._script_for(queue, chunk)
            script = [b"EVALSHA", self.digest(name)] if name in known else [b"EVAL", self.source(name)]
            known.add(name)
            yield [*script, 1, rq_keys.QUEUES, *args]

    def _script_for(self, queue: str, new_jobs: Sequence[NewJob]) -> tuple[str, list[Any]]:
        """Return the script that enqueues these jobs, and its ARGV."""
        plain = _plain(new_jobs)
        if plain is None:
            return "enqueue", [*self.common_args(), queue, "", *_flat(new_jobs)]
        at, timeout, flat = plain
        return "enqueue_plain_many", [*self.common_args(now=at.decode()), queue, timeout, FAILURE_TTL, *flat]

    def _enqueue(self, queue: str, new_jobs: Sequence[NewJob], *, again: str) -> list[Admission]:
        args = [queue, again, *_flat(new_jobs)]
        answer = self.run_with_common_args("enqueue", [rq_keys.QUEUES], args, action=f"enqueueing on {queue!r}")
        return _admissions(answer, len(new_jobs))

    def check_waiting(self, job_ids: Sequence[str]) -> list[Admission]:
        """Apply losses to jobs that were enqueued a moment ago. Returns for each job what `enqueue` would return for it now.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        admissions: list[Admission] = []
        for start in range(0, len(job_ids), AT_ONCE):
            some = job_ids[start : start + AT_ONCE]
            admissions += _admissions(self.run_with_common_args("check_waiting", [], some, action=f"checking {len(some)} jobs"), len(some))
        return admissions

    def enqueue_later(self, pipeline: Any, queue: str, new_job: NewJob) -> None:
        """Add the enqueueing of a job to a pipeline. A missing need has the effect that it has in `enqueue`; no `Admission` is returned."""
        # EVAL, not EVALSHA: a transaction cannot load the script and try again.
        pipeline.eval(self.source("enqueue"), 1, rq_keys.QUEUES, *self.common_args(), queue, "", *_flat([new_job]))

    def index_needs(self, job_id: str, pipeline: Any = None) -> None:
        """Add a job that waits for its time, or for other jobs, to the indexes of its needs, so that a loss finds it; publish it.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        if pipeline is None:
            self.run_with_common_args("index_needs", [], [job_id], action=f"indexing the needs of job {job_id}")
        else:
            pipeline.eval(self.source("index_needs"), 0, *self.common_args(), job_id)


def _is_plain(new_job: NewJob) -> bool:
    """Return whether a job may be enqueued by the scripts for plain jobs."""
    has_more = new_job.needs or new_job.at_front or new_job.ttl_s is not None or b"traceparent" in new_job.fields
    return new_job.condition == "new" and not has_more


def _plain(new_jobs: Sequence[NewJob]) -> tuple[bytes, bytes, list[Any]] | None:
    """Return the time and the timeout of plain jobs, which must have these in common, and id, data and description of each."""
    if not all(map(_is_plain, new_jobs)):
        return None
    first = new_jobs[0].fields
    at, timeout = first[b"enqueued_at"], first[b"timeout"]
    flat: list[Any] = []
    for job_id, fields, *_ in new_jobs:
        if fields[b"enqueued_at"] != at or fields[b"timeout"] != timeout:
            return None
        flat += (job_id, fields[b"data"], fields[b"description"])
    return at, timeout, flat


def _size_of(new_job: NewJob) -> int:
    """Return the size of the fields of a job in bytes."""
    fields = new_job.fields
    if new_job.condition == "new":
        return len(fields[b"data"]) + len(fields[b"description"])  # the others are short, and most jobs are so
    return sum(len(value) for value in fields.values() if isinstance(value, (bytes, str)))


def _flat(new_jobs: Sequence[NewJob]) -> list[Any]:
    """Return the ARGV that describe jobs: first the fields that all have in common, once, then the rest of each."""
    first, *others = new_jobs
    common = [item for item in first.fields.items() if all(other.fields.get(item[0]) == item[1] for other in others)] if others else []
    in_common = {name for name, _ in common}
    flat = [2 * len(common), *chain.from_iterable(common)]
    for job_id, fields, condition, at_front, ttl_s, needs in new_jobs:
        own = [item for item in fields.items() if item[0] not in in_common]
        ttl_ms = "" if ttl_s is None else round(ttl_s * 1000)
        flat += (job_id, condition, "front" if at_front else "", ttl_ms, needs, 2 * len(own), *chain.from_iterable(own))
    return flat


def _admissions(answer: Sequence[bytes] | None, count: int) -> list[Admission]:
    if answer is None:  # the jobs were plain
        return [PLAIN] * count
    admissions = []
    for text, needs in zip(answer[::2], answer[1::2], strict=True):
        status, _, name = text.decode().partition(":")
        missing, overdue = ("", name) if status == "queued" else (name, "")
        admissions.append(Admission(status, missing, needs, overdue))
    return admissions
