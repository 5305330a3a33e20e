"""Claims jobs until the server answers, and mends what a failover took back: the end of a run that only the old primary knew."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis

from notify.server import SingleConnection, retry_while_away
from workers.fleet import NameHold
from workers.rq import StopRequested
from workers.scripts import Claim, ClaimScripts, Ended, Fences, Refill, RefillCall, Run, number_in
from workers.worker.current_run import LeaveSign

__all__ = ["LEAVE_S", "Claimer"]

UNHEARD_S: Final = 3.0
"""Seconds without an answer to a claim after which the worker does not renew its lease any more."""
LEAVE_S: Final = 5.0
"""Seconds for which a worker that was asked to end goes on trying to record the ends of its last jobs while Redis is unreachable."""
REMEMBERED: Final = 64
"""The last ends that are kept, in case that a failover takes one back."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Claimer:
    """Makes the claims of one worker, in its main thread. Only `is_heard` may be called from other threads.

    A replica that is promoted may not know the last commands that the old primary answered. If the server holds a run of this worker
    for running that the worker has ended, its end is recorded again; if the worker does not know that end, the run ends as if the
    worker had died. This is looked up each time a connection is opened, for a failover closes it.

    Before each call the worker makes sure that it has its name: what the server holds under it belongs to another worker otherwise.

    Args:
        name: the name of the worker.
        claims: the scripts.
        fences: of the worker.
        connection: over which they run.
        leaving: set when the worker was asked to end.
        hold: the hold of the worker on its name.
        abandon: called with the id of a job to end its run as if the worker had died.
    """

    def __init__(
        self,
        name: str,
        claims: ClaimScripts,
        connection: SingleConnection,
        *,
        fences: Fences,
        leaving: LeaveSign,
        hold: NameHold,
        abandon: Callable[[str], None],
    ) -> None:
        self._name = name
        self._claims = claims
        self._connection = connection
        self._fences = fences
        self.held: Callable[[], Sequence[Run]] = tuple
        """Returns the runs that the worker has, the oldest first. The loop of the worker sets it."""
        self._leaving, self._hold = leaving, hold
        self._abandon = abandon
        self._recorded: deque[Ended] = deque(maxlen=REMEMBERED)
        self._asking_since: float | None = None

    def is_heard(self) -> bool:
        """Return whether the server answers the main thread of the worker. It does if this does not ask anything now."""
        since = self._asking_since
        return since is None or time.monotonic() - since < UNHEARD_S

    def claim(
        self,
        queues: Sequence[str],
        *,
        ended: Ended | None,
        start: int,
        leave_s: float,
        line: Sequence[Run] = (),
        rooms: Mapping[str, int] | None = None,
    ) -> Claim:
        """Record the end of a run and claim a job, see `ClaimScripts.claim`. Errors as for `ask`."""
        number = self._fences.take()
        fence = self._fences.fence(number)

        def attempt(again: bool) -> Claim:
            if self._has_opened():
                self._mend(number)
            return self._claims.claim(queues, fence=fence, ended=ended, again=again, start=start, line=line, rooms=rooms)

        claim = self.ask(attempt, leave_s=leave_s)
        if ended is not None and claim.ended == "finished":
            self._recorded.append(ended)
        return claim

    def refill(self, queues: Sequence[str], *, wanted: int, **options: Any) -> Refill:
        """Record the ends of some runs and claim some jobs. Errors as for `ask`.

        Args:
            queues, wanted: see `RefillCall`.
            options: other attributes of it.
        """
        return self.finish_refill(self._refill_call(queues, wanted=wanted, **options))

    def send_refill(self, queues: Sequence[str], *, wanted: int, **options: Any) -> RefillCall:
        """Begin what `refill` does. Call `finish_refill`, which waits for the answer, before the next claim. Arguments as there."""
        call = self._refill_call(queues, wanted=wanted, **options)
        if self._connection.is_ready and self._hold.is_fresh():  # else `finish_refill` looks whether the worker has its name
            with suppress(redis.RedisError, OSError):  # the call is made once more
                self._claims.send_refill(call, self._connection)
        return call

    def fileno(self) -> int:
        """Return the number of the file that is readable when the answer to the call that was sent has arrived."""
        return self._connection.fileno()

    def has_answer(self) -> bool:
        """Return whether the answer to the call that was sent has arrived."""
        return self._connection.has_answer()

    def finish_refill(self, call: RefillCall) -> Refill:
        """Return the answer to a call of `send_refill`. Errors as for `ask`."""

        def attempt(_: bool) -> Refill:
            if call.sent_at:
                return self._claims.receive_refill(call, self._connection)
            if self._has_opened():
                self._mend(call.number)
            return self._claims.refill(call)

        answer = self.ask(attempt, leave_s=LEAVE_S if call.ended else 0.0)
        self._recorded.extend(end for end, how in zip(call.ended, answer.ended, strict=True) if how == "finished")
        return answer

    def _refill_call(self, queues: Sequence[str], *, wanted: int, **options: Any) -> RefillCall:
        return RefillCall(queues, wanted=wanted, fences=self._fences, number=self._fences.take(max(1, wanted)), **options)

    def ask(self, call: Callable[[bool], T], *, leave_s: float) -> T:
        """Call a function until the server answers, see `retry_while_away`.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end and the server is still away, or the server refused for good.
            StopRequested: another worker has the name of this one.
        """

        def attempt(again: bool) -> T:
            if self._hold.is_replaced():
                raise StopRequested
            return call(again)

        self._asking_since = time.monotonic()
        try:
            return retry_while_away(attempt, name=f"worker {self._name}", leaving=self._leaving, leave_s=leave_s)
        finally:
            self._asking_since = None

    def _has_opened(self) -> bool:
        with self._connection.translating("connecting"):
            return self._connection.ensure_open()

    def _mend(self, number: int) -> None:
        """End the runs that the server holds for running and the worker has not, unless a lost answer to this claim brought them.

        Args:
            number: the first number of the fences of this claim.
        """
        held = self.held()
        for run in self._claims.left_runs():
            is_new = run.fence.startswith(self._fences.base) and number_in(run.fence) >= number
            if run not in held and not is_new:
                self._end_again(run)

    def _end_again(self, run: Run) -> None:
        known = next((each for each in self._recorded if each.run == run), None)
        if known is not None:
            log.warning("the server has lost the end of job %s, probably in a failover: it is recorded again", run.job_id)
            call = self._refill_call([], ended=[known], line=self.held(), wanted=0)
            if "finished" in self._claims.refill(call).ended:
                return
        log.warning(
            "the server takes job %s for running, and worker %s does not run it: it is tried again or fails", run.job_id, self._name
        )
        self._abandon(run.job_id)
