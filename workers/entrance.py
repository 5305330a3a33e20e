"""The one way onto a queue: the script that looks whether a job's needs are there and puts it on the list, in one step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias

from notify.errors import ServerUnreachableError
from notify.scripts import load_script
from workers import rq_keys
from workers.names import NamedScripts

__all__ = ["Condition", "Entrance", "Entry", "Taken"]

Condition: TypeAlias = Literal["", "unique", "ended"]
"""What must be so: nothing; there is no job of that id; or it failed, or was stopped or cancelled."""

Fields: TypeAlias = Mapping[str, str | bytes | int | float]


class Entry(NamedTuple):
    """A job on its way onto a queue.

    Args:
        job_id: its id.
        fields: its hash, as RQ writes it.
        at_front: whether it is the next one.
        ttl_s: seconds for which it may wait; ``None``: however long it takes.
        condition: what must be so.
    """

    job_id: str
    fields: Fields
    at_front: bool = False
    ttl_s: float | None = None
    condition: Condition = ""


class Taken(NamedTuple):
    """How an entry was taken: ``queued``, ``cancelled``, ``held`` or ``refused``; the need that is not there; the needs as kept."""

    status: str
    missing: str
    needs: bytes


class Entrance(NamedScripts):
    """Puts jobs on queues."""

    def put(self, queue: str, entries: Sequence[Entry]) -> list[Taken]:
        """Put jobs on a queue, in their order. If the answer is lost it is asked for again; no job is put there twice.

        Raises:
            ServerUnreachableError: no answer, twice. They may be there.
            ServerRefusedError: the server answered with an error.
        """

        def put(again: str) -> list[Taken]:
            keys, args = self._call(queue, entries, again=again)
            return _taken(self.run_named("enqueue", keys, args, action=f"enqueueing on {queue!r}"))

        return _twice(put)

    def put_later(self, pipeline: Any, queue: str, entries: Sequence[Entry]) -> None:
        """Have a pipeline do so. Nobody is told how they were taken; what is not there is seen to all the same."""
        keys, args = self.named(*self._call(queue, entries, again=""))
        source, _ = load_script("workers", "enqueue")
        pipeline.eval(source, len(keys), *keys, *args)  # by its text: in a transaction there is no second try

    def _call(self, queue: str, entries: Sequence[Entry], *, again: str) -> tuple[list[str], list[str | bytes | int]]:
        return [rq_keys.QUEUES], [queue, again, len(entries), *chain.from_iterable(map(_flat, entries))]


def _flat(entry: Entry) -> Iterator[Any]:
    yield entry.job_id
    yield "front" if entry.at_front else ""
    yield entry.condition
    yield "" if entry.ttl_s is None else round(entry.ttl_s * 1000)
    yield 2 * len(entry.fields)
    yield from chain.from_iterable(entry.fields.items())


def _taken(answer: Sequence[bytes]) -> list[Taken]:
    taken = []
    for said, needs in zip(answer[::2], answer[1::2], strict=True):
        status, _, missing = said.decode().partition(":")
        taken.append(Taken(status, missing, needs))
    return taken


def _twice(put: Callable[[str], list[Taken]]) -> list[Taken]:
    try:
        return put("")
    except ServerUnreachableError:
        return put("again")
