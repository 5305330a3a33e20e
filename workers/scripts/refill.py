"""The refill: a script records the ends of the last runs of a worker, and gives it several plain jobs ahead of their turn."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
import redis

from notify.process import steady_s
from notify.server import LONGEST_TTL_S, Client, SingleConnection
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.scripts.ahead import text_of
from workers.scripts.claimed import Claim, fields_of, texts_of_end
from workers.scripts.fences import Fences
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run
from workers.scripts.runner import JobScriptRunner, rq_now
from workers.scripts.tally import Tally

__all__ = ["AHEAD_BYTES", "ALL", "ClaimOptions", "History", "Refill", "RefillCall", "RefillScripts"]

AHEAD_BYTES: Final = 65_536
"""The most bytes of jobs that are claimed ahead: what the horse has not read yet fits into the socket to it."""
ACTION: Final = "asking for jobs"


History: TypeAlias = Literal["full", "lean"]


class ClaimOptions(msgspec.Struct, frozen=True):
    """What a worker claims, and what it records.

    Args:
        skip_foreign: whether pickled jobs of plain RQ stay where they are, for RQ's own workers.
        history: ``lean`` leaves out the events of starts and successes, results that are ``None``, and RQ's records of runs.
    """

    skip_foreign: bool = False
    history: History = "full"


ALL: Final = ClaimOptions()


class Refill(msgspec.Struct, frozen=True):
    """The answer to a refill.

    Args:
        ended: for each run that ended how that was recorded, as in a `Claim`.
        answer: ``started``, or why there is no job: ``suspended``, ``unfinished`` (an end has to be recorded first), ``alone`` (what
            comes first has to be claimed alone), ``full`` (there is no room for more calls of its
            function), or empty if there is none or none was wanted.
        claims: the runs that begin.
        has_more: whether there are more jobs.
    """

    ended: tuple[str, ...]
    answer: str
    claims: tuple[Claim, ...] = ()
    has_more: bool = False


class RefillCall(msgspec.Struct):
    """What a refill is to do.

    Args:
        queues: keys of the queues, the most urgent first.
        ended: the runs that ended, the oldest first.
        line: the runs that go on, the oldest first.
        wanted: how many jobs to take at most.
        fences: of the worker.
        number: the first of ``wanted`` numbers, or of one, that were taken from ``fences`` for this call.
        most_bytes: the most bytes of these jobs.
        rooms: how many calls may be taken of the functions that run side by side, by their paths.
        beside: whether only these are taken; by default only others.
    """

    queues: Sequence[str]
    ended: Sequence[Ended]
    line: Sequence[Run]
    wanted: int
    fences: Fences
    number: int
    most_bytes: int = AHEAD_BYTES
    rooms: Mapping[str, int] | None = None
    beside: bool = False
    was_made: bool = False
    """Whether the call was made, or begun, before: then the server may have done its steps, and does not do them twice."""
    asked_at: float = msgspec.field(default_factory=steady_s)
    """When it was made last, by `steady_s`: the server gave out the runs after that."""
    sent_at: str = ""
    """When it was sent, as `rq_time` writes it, until its answer is received."""


class RefillScripts(JobScriptRunner):
    """The refills of one worker. Arguments and errors as for `ClaimScripts`."""

    def __init__(
        self, client: Client, worker: str, *, heartbeat_s: int, idle_s: int, result_ttl_s: int, options: ClaimOptions = ALL
    ) -> None:
        super().__init__(client, is_lean=options.history == "lean")
        if not -1 <= result_ttl_s <= LONGEST_TTL_S:
            raise JobDefinitionError(f"results are to be kept for {result_ttl_s} s: give -1 for ever, or 0 to {LONGEST_TTL_S}")
        self._worker = worker
        self._keys = [rq_keys.worker(worker), rq_keys.suspended(), client.own_keys.paused]
        self._args: list[str | bytes | int] = [heartbeat_s, idle_s, DEFAULT_TIMEOUT_S]
        self._result_ttl_s = result_ttl_s
        self._skips_foreign = "1" if options.skip_foreign else ""
        self._max_bytes = client.settings.max_payload_bytes
        self._tally = Tally()

    def refill(self, call: RefillCall) -> Refill:
        """Record the ends of some runs, and take some plain jobs ahead of their turn.

        Raises:
            ServerUnreachableError: no answer. The call may have succeeded: repeat it.
            ServerRefusedError: the server answered with an error.
        """
        call.asked_at, now = steady_s(), rq_now()
        keys, args = self._keys_and_args(call)
        return self._read(call, self.run_with_common_args("refill", keys, args, action=ACTION, now=now), now=now)

    def send_refill(self, call: RefillCall, connection: SingleConnection) -> None:
        """Send a call, whose answer `receive_refill` returns. Errors as redis-py raises them.

        Args:
            call: which runs, and how many jobs.
            connection: that of the worker.
        """
        now = rq_now()
        keys, args = self._keys_and_args(call)
        connection.send("EVALSHA", self.digest("refill"), len(keys), *keys, *self.common_args(now=now), *args)
        call.sent_at = now

    def receive_refill(self, call: RefillCall, connection: SingleConnection) -> Refill:
        """Return the answer to a call that was sent. Errors as for `refill`."""
        now, call.sent_at = call.sent_at, ""
        try:
            return self._read(call, connection.receive(), now=now)
        except redis.exceptions.NoScriptError:
            return self.refill(call)
        except (redis.RedisError, OSError) as exc:
            raise self.client.translated(exc, ACTION) from exc

    def _keys_and_args(self, call: RefillCall) -> tuple[list[str], list[str | bytes | int]]:
        fences, number = call.fences, call.number
        args: list[str | bytes | int] = [
            self._worker,
            "again" if call.was_made else "",
            fences.fence(number),
            *self._args,
            self._result_ttl_s,
        ]
        args += [self._max_bytes, call.most_bytes, self._skips_foreign, text_of(call.line), fences.base, number, call.wanted]
        args += [msgspec.json.encode(call.rooms or {}), "1" if call.beside else "", *self._tally.begin(writes=not call.wanted)]
        for end in call.ended:
            args += texts_of_end(end)
        call.was_made = True
        return [*self._keys, *call.queues], args

    def _read(self, call: RefillCall, result: Any, *, now: str) -> Refill:
        answers, answer, more, counted, *rows = result
        self._tally.note(call.ended, answers, is_counted=bool(counted), queue=call.queues[rows[-3]] if rows else "")
        common = {b"status": b"started", b"started_at": now.encode(), b"worker_name": self._worker.encode()}
        numbers = range(call.number, call.number + len(rows) // 3)
        claims = tuple(
            Claim("", "started", queue, job_id.decode(), fields_of(flat, common), call.fences.fence(number), has_more=bool(more))
            for number, queue, job_id, flat in zip(numbers, rows[::3], rows[1::3], rows[2::3], strict=True)
        )
        return Refill(tuple(each.decode() for each in answers), answer.decode(), claims, bool(more))
