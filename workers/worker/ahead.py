"""Claims plain jobs ahead of their turn, so that the horse goes on while the worker asks for more, and gives back what has to wait."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

from notify.errors import NotifyError, ServerRefusedError
from notify.process import steady_s
from workers.errors import HorseError
from workers.line import Line, Place, Window
from workers.scripts import AHEAD_BYTES, BEGIN_S, ClaimScripts, Refill, RefillCall, Run
from workers.worker.claimer import Claimer
from workers.worker.current_run import CurrentRun
from workers.worker.finish import FinishingWorker
from workers.worker.returned import ReturnedRuns

__all__ = ["Ahead"]

IN_ORDER: Final = (None, "default")
"""The strategies of RQ with which a worker takes the jobs of its first queue first."""

FREE: Final = 12
"""More jobs are asked for when half of the window is free, or so many places. The server works on that while worker and horse go on."""

MOST_AT_ONCE: Final = 16
"""The most jobs of one call: it keeps the server busy for half a millisecond, in which that answers nobody else."""

_key, _number = attrgetter("key"), attrgetter("number")

log = logging.getLogger(__name__)


class Ahead:
    """The runs that the horse has got and that the main loop of the worker has not come to.

    Args:
        worker: the worker.
        current_run: its current run.
        line: the line of its horse.
        window: how many runs to have.
        claims, claimer: claim and give back.
        returned: the runs whose ends are recorded together with the next claims.
        is_paused: whether to claim nothing ahead now.
        lease_s: seconds that the worker may be silent; runs that have not begun within half of them are given back.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        current_run: CurrentRun,
        line: Line,
        window: Window,
        *,
        claims: ClaimScripts,
        claimer: Claimer,
        returned: ReturnedRuns,
        is_paused: Callable[[], bool],
        lease_s: float,
    ) -> None:
        self._worker, self._current_run = worker, current_run
        self._line, self._window = line, window
        self._claims, self._claimer = claims, claimer
        self._returned = returned
        self._is_paused = is_paused
        self._begin_within_s = min(BEGIN_S, lease_s / 2)
        self._waiting: deque[Place] = deque()
        self._going_back: list[Place] = []
        """Runs that no horse has, and of which the server may not know yet that they wait again."""
        self._are_late = False
        """Whether the horse begins nothing more of what it has, because it is too late."""
        self._has_more = False
        """Whether there were more jobs at the last claim."""
        self._sent: RefillCall | None = None
        """The refill that was sent and whose answer was not taken yet."""
        self._watched = -1
        """The file of the connection on which that answer comes, while the horse is waited for as well."""
        self.others: Mapping[str, int] = {}
        """The paths of functions whose jobs run side by side, each with 0: they are not claimed together with others."""
        self.is_limited = False
        """Whether the worker counts its jobs: it claims none that it may not run."""

    def __len__(self) -> int:
        return len(self._waiting)

    def place_of(self, claim: Any, queue: Any) -> Place:
        """Return the place of a run that was claimed alone, which is announced."""
        self._has_more = claim.has_more
        return Place(claim, queue, is_announced=True, begin_by=steady_s() + self._begin_within_s)

    @property
    def place(self) -> Place | None:
        """The place of the current run, until its end is known."""
        return self._line.current

    @place.setter
    def place(self, place: Place | None) -> None:
        self._line.current = place

    def runs(self) -> list[Run]:
        """Return the runs that this worker has, the oldest first, without those that have returned."""
        place = self.place
        return [each.run for each in ([] if place is None else [place]) + list(self._waiting)]

    def held(self) -> list[Run]:
        """Return all runs that are this worker's as far as it knows, the oldest first."""
        return [*self._returned.runs(), *self.runs(), *(place.run for place in self._going_back)]

    def next(self) -> Place | None:
        """Claim more if it is time, and return the next run, which the horse has got; ``None`` if there is none. Errors as for `refill`."""
        if self._are_late and self._waiting:
            return self.take()  # may be late as well: all go back together, for one by one they would turn their order round
        if self._going_back:
            self.settle()
            self._give_back()
        self.refill_if_due()
        if not self._waiting:
            self.settle()
        return None if self._line.horse.is_lost else self.take()  # the runs go back when the worker ends

    def take(self) -> Place | None:
        """Return the next run that the horse has got, and claim nothing; ``None`` if there is none."""
        return self._waiting.popleft() if self._waiting else None

    def refill_if_due(self) -> None:
        """Claim more if a good part of the window is free, without waiting for the answer: meanwhile the horse goes on with what it has.

        Errors as for `refill`.
        """
        if self._sent is not None and not self.take_answer():
            return
        size = self._size()
        free, is_leaving = size - len(self._line), self._current_run.leave_sign.is_set()
        if size > 1 and self._has_more and not is_leaving and free >= min(FREE, (size + 1) // 2):
            self._sent = self._claimer.send_refill(**self._request(min(MOST_AT_ONCE, free)))
            if self._sent.sent_at:
                self._watched = self._claimer.fileno()
                self._line.horse.watch(self._watched)

    def take_answer(self) -> bool:
        """Take the answer to the refill that was sent if it has arrived. Returns whether it had. Errors as for `refill`."""
        if self._sent is None or not self._claimer.has_answer():
            return False
        self.settle()
        return True

    def settle(self) -> None:
        """Take the answer to the refill that was sent, if there is one. Errors as for `refill`; a refusal is left to the next one."""
        if self._sent is not None:
            call, self._sent = self._sent, None
            if self._watched >= 0:
                self._line.horse.unwatch(self._watched)
                self._watched = -1
            try:
                answer = self._claimer.finish_refill(call)
            except ServerRefusedError:  # nothing was claimed or recorded
                return
            self._put_down(call.wanted, answer, asked_at=call.asked_at)  # the worker may have been frozen since

    def refill_behind(self) -> None:
        """Claim plain jobs behind the current run, which was claimed alone. It goes on whatever comes of that."""
        if self.place is not None and self.place.claim.goes_with_others:
            with suppress(NotifyError):  # the next claim says so
                self.refill_if_due()

    def find_lost(self) -> bool:
        """Look whether the fork server is gone: then nothing must be claimed, for no horse would begin it."""
        return self._line.horse.find_lost()

    def claim(self) -> str:
        """Record the ends of the runs that have returned, and claim plain jobs for a line that is empty. Returns and raises as `refill`."""
        return self.refill(min(MOST_AT_ONCE, self._size()))

    def refill(self, wanted: int) -> str:
        """Record the ends of the runs that have returned, and claim up to ``wanted`` plain jobs.

        Returns:
            The answer; see `Refill`.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end and the server is still away, or the server refused for good.
        """
        self.settle()
        answer = self._claimer.refill(**self._request(wanted))
        self._put_down(wanted, answer, asked_at=steady_s())
        return answer.answer

    def _request(self, wanted: int) -> dict[str, Any]:
        """Return the arguments of a refill."""
        return {
            "queues": list(map(_key, self._worker._ordered_queues)) if wanted else [],
            "ended": self._returned.ends(),
            "line": self.runs() + [place.run for place in self._going_back],  # if the worker dies now, its last will finds all of them
            "wanted": wanted,
            "most_bytes": max(0, AHEAD_BYTES - self._line.bytes()),  # so that worker and horse never wait for each other to read
            "rooms": self.others,
        }

    def _put_down(self, wanted: int, answer: Refill, *, asked_at: float) -> None:
        if wanted:
            self._has_more = answer.has_more and answer.answer != "alone"  # that one comes when the line is empty
        places = [
            Place(claim, self._worker._ordered_queues[claim.queue], is_announced=False, begin_by=asked_at + self._begin_within_s)
            for claim in answer.claims
        ]
        if self._going_back:
            self._going_back += places  # the horse would begin them before those that go back
        elif places:
            self._give(places)
        self._returned.conclude(answer.ended)

    def note(self, seconds: float) -> None:
        """Note how long a job took."""
        self._window.note(seconds)

    def goes_on(self, *, ttl_s: int) -> bool:
        """Give back what would have to wait for the current run, which goes on, and announce that run. The server may be away.

        Returns whether that is done; else call again.

        Args:
            ttl_s: seconds within which the run sends its next heartbeat.
        """
        self.put_aside(self._line.take_unbegun())
        with suppress(NotifyError):  # the caller calls again
            if self._sent is not None:
                self.settle()
                self.put_aside(self._line.take_unbegun())
            if self._returned or self._claims.is_behind:
                self.refill(0)
            place = self.place
            unannounced = None if place is None or place.is_announced else place
            if unannounced is not None:
                unannounced.is_announced = None  # until the answer has come
            self._give_back(goes_on=unannounced, ttl_s=ttl_s, leave_s=None)
            if unannounced is not None:
                unannounced.is_announced = True
            return True
        return False

    def give_all_back(self) -> None:
        """Give back all that the horse has not begun: the worker ends. Errors as for `refill`."""
        self.settle()
        self.put_aside(self._line.take_unbegun())
        self._give_back()

    def give_late_back(self, place: Place) -> None:
        """Give back a run that the horse did not begin because it was too late. Errors as for `refill`."""
        self._going_back.append(place)  # first: whatever comes of that call, this run is known
        self.settle()
        self.put_aside(self._line.take_unbegun())
        self._are_late = bool(self._waiting)
        if not self._are_late:
            self._give_back()

    def _size(self) -> int:
        if self.is_limited or self._is_paused() or self._worker._dequeue_strategy not in IN_ORDER:
            return 1
        return self._window.size

    def _give(self, places: Sequence[Place]) -> None:
        current = self._current_run
        with current.lock:  # no stop can come between the look at the early stops and the start
            for place in places:
                place.is_dropped = place.run.job_id in current.early_stops
            self._waiting.extend(places)
            try:
                self._line.give([place for place in places if not place.is_dropped])
            except HorseError as exc:
                log.debug("%s", exc)  # the fork server is gone: the runs are given back

    def put_aside(self, places: Sequence[Place]) -> None:
        """Note that no horse has these runs any more: they are given back."""
        for place in places:
            if place in self._waiting:
                self._waiting.remove(place)
        self._going_back += places

    def _give_back(self, *, goes_on: Place | None = None, ttl_s: int = 0, leave_s: float | None = 0.0) -> None:
        """Put aside runs back on their queues. With ``leave_s`` ``None`` this is tried once, otherwise until the server answers."""
        if not self._going_back and goes_on is None:
            return
        self._going_back.sort(key=_number)
        self._are_late = False
        # Those whose ends are to be recorded stay in the line too: if the worker dies now, its last will finds them.
        runs, line = [place.run for place in self._going_back], [*self._returned.runs(), *self.runs()]

        def call(_: bool) -> set[str]:
            return self._claims.give_back(runs, line=line, goes_on=None if goes_on is None else goes_on.run, ttl_s=ttl_s)

        refused = call(False) if leave_s is None else self._claimer.ask(call, leave_s=leave_s)
        if runs:
            self._has_more = True
        places, self._going_back = self._going_back, []
        for place in reversed(places):
            if place.run.job_id in refused:
                place.is_dropped = True  # stopped meanwhile: that is to be recorded
                self._waiting.appendleft(place)
