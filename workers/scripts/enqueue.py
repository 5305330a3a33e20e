"""The one way onto a queue: the script that looks whether a job's needs are there and puts it on the list, in one step."""

import logging
from collections.abc import MutableMapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import redis

from notify.errors import ServerUnreachableError
from workers import rq_keys
from workers.scripts.runner import JobScriptRunner

__all__ = ["RQ_STATUS", "Admission", "Condition", "EnqueueScripts", "NewJob"]

AT_ONCE: Final = 100
"""Jobs enqueued by one script: it holds the server for a millisecond or two."""
IN_FLIGHT: Final = 2

RQ_STATUS: Final = {"queued": "queued", "held": "deferred", "cancelled": "canceled"}
"""The status that RQ's hash of a job has after each `Admission` but ``refused``, which leaves the hash as it was."""

Condition: TypeAlias = Literal["", "new", "unique", "ended"]
"""What must be so: nothing; the id was made just now; there is no job of that id; or it failed, or was stopped or cancelled."""

Fields: TypeAlias = MutableMapping[Any, Any]


log = logging.getLogger(__name__)


class NewJob(NamedTuple):
    """A job on its way onto a queue.

    Args:
        job_id: its id.
        fields: its hash, as RQ writes it.
        condition: what must be so.
        at_front: whether it is the next one.
        ttl_s: seconds for which it may wait; ``None``: however long it takes.
        needs: what it needs, as in its hash; that knows more.
    """

    job_id: str
    fields: Fields
    condition: Condition = ""
    at_front: bool = False
    ttl_s: float | None = None
    needs: str | bytes = ""


class Admission(NamedTuple):
    """How an entry was taken: ``queued``, ``cancelled``, ``held`` or ``refused``; the need that is not there; the needs as kept."""

    status: str
    missing: str
    needs: bytes


class EnqueueScripts(JobScriptRunner):
    """Puts jobs on queues."""

    def enqueue(self, queue: str, entries: Sequence[NewJob]) -> list[Admission]:
        """Put jobs on a queue, in their order. If the answer is lost it is asked for again; no job is put there twice.

        Raises:
            ServerUnreachableError: no answer, twice. They may be there.
            ServerRefusedError: the server answered with an error."""
        try:
            return self._enqueue(queue, entries, again="")
        except ServerUnreachableError:
            return self._enqueue(queue, entries, again="again")

    def enqueue_many(self, queue: str, entries: Sequence[NewJob]) -> list[Admission]:
        """Put any number of jobs on a queue, as `enqueue` does, some in one script: the server is at those while the next are packed."""
        chunks = [entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE)]
        source = self.source("enqueue")
        taken: list[Admission] = []
        try:
            for answer in self.client.pipelined(([b"EVAL", source, *self._command(queue, chunk)] for chunk in chunks), in_flight=IN_FLIGHT):
                taken += _taken(answer)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
            log.warning("asking again: %s", self.client.translated(exc, f"enqueueing on {queue!r}"))
        except redis.RedisError as exc:
            raise self.client.translated(exc, f"enqueueing on {queue!r}") from exc
        for start in range(len(taken), len(entries), AT_ONCE):
            taken += self._enqueue(queue, entries[start : start + AT_ONCE], again="again")
        return taken

    def enqueue_later(self, pipeline: Any, queue: str, entry: NewJob) -> None:
        """Have a pipeline do so. Nobody is told how it was taken; what is not there is seen to all the same."""
        pipeline.eval(self.source("enqueue"), *self._command(queue, [entry]))  # by its text: a transaction gets no second try

    def index_needs(self, job_id: str, pipeline: Any = None) -> None:
        """Have a job that waits for its time, or for other jobs, found by what it needs.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        if pipeline is None:
            self.run_with_common_args("index_needs", [], [job_id], action=f"noting what job {job_id} needs")
        else:
            pipeline.eval(self.source("index_needs"), 0, *self.common_args(), job_id)

    def _enqueue(self, queue: str, entries: Sequence[NewJob], *, again: str) -> list[Admission]:
        args = [queue, again, *_flat(entries)]
        return _taken(self.run_with_common_args("enqueue", [rq_keys.QUEUES], args, action=f"enqueueing on {queue!r}"))

    def _command(self, queue: str, entries: Sequence[NewJob]) -> list[Any]:
        """What follows the script in EVAL."""
        return [1, rq_keys.QUEUES, *self.common_args(), queue, "", *_flat(entries)]


def _flat(entries: Sequence[NewJob]) -> list[Any]:
    """What the script is told of jobs: first what they all have in common, once."""
    first, *others = entries
    common = [item for item in first.fields.items() if all(other.fields.get(item[0]) == item[1] for other in others)] if others else []
    told = {name for name, _ in common}
    flat = [2 * len(common), *chain.from_iterable(common)]
    for job_id, fields, condition, at_front, ttl_s, needs in entries:
        own = [item for item in fields.items() if item[0] not in told]
        ttl_ms = "" if ttl_s is None else round(ttl_s * 1000)
        flat += (job_id, condition, "front" if at_front else "", ttl_ms, needs, 2 * len(own), *chain.from_iterable(own))
    return flat


def _taken(answer: Sequence[bytes]) -> list[Admission]:
    taken = []
    for said, needs in zip(answer[::2], answer[1::2], strict=True):
        status, _, missing = said.decode().partition(":")
        taken.append(Admission(status, missing, needs))
    return taken
