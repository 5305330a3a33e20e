"""The supply of runs that go on side by side: records the ends of some and claims others, in one call where that is possible."""

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

from notify.errors import ServerError, ServerRefusedError
from notify.server import Backoff
from workers.line import MOST_AHEAD, Place
from workers.scripts import AHEAD_BYTES, Claim, ClaimScripts, Run
from workers.worker.claimer import Claimer
from workers.worker.finish import FinishingWorker
from workers.worker.returned import ReturnedRuns
from workers.worker.side_by_side.intake import Intake

__all__ = ["Supply"]

MOST_BESIDE: Final = 16
"""The most runs in one claim while many go on, which take their time: the first of a small claim begin while the next one is on its way."""
LOOK_S: Final = 0.25
"""Seconds until the queues are looked at again, if what comes first there cannot be claimed now; the end of a run comes before that."""
SUSPENDED_S: Final = 1.0

_key = attrgetter("key")

log = logging.getLogger(__name__)


class Supply:
    """Claims runs while there is room for them.

    The order of the queues is kept: a job of another kind that comes first is not passed over. It is claimed when no run goes on any more.

    Args:
        worker: the worker.
        claims, claimer: claim.
        returned: the runs whose ends are recorded together with the next claims.
        intake: tells of new jobs.
        most: how many calls of each function go on side by side, by its path.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        *,
        claims: ClaimScripts,
        claimer: Claimer,
        returned: ReturnedRuns,
        intake: Intake,
        most: Mapping[str, int],
    ) -> None:
        self._worker, self._claims, self._claimer = worker, claims, claimer
        self._returned, self._intake, self._most = returned, intake, most
        self._has_more = True
        """Whether there may be more jobs: the next claim will tell."""
        self.has_announced = False
        """Whether the claim has written all that RQ holds of the run, and published its start."""
        self._start = 0
        self._look_at = 0.0
        """When to claim again, by ``time.monotonic()``: before that it would be in vain, unless a run ends."""
        self._is_full = False
        """Whether the function of the job that comes first had no room at the last claim."""
        self._rooms: Mapping[str, int] = {}
        """How many calls of each function the last claim might have taken."""
        self._has_room = True
        """Whether there was room at the last claim."""
        self._is_alone = False
        """Whether the job that comes first has to be claimed alone: not before all have begun, and no job is claimed ahead meanwhile."""
        self._refusals = Backoff(log, f"worker {worker.name}")

    def begin(self) -> None:
        """Prepare to claim behind a first run."""
        self._has_more, self._start, self._look_at = True, 0, 0.0
        self._is_full = self._is_alone = False

    def close(self) -> None:
        """Wait for no job any more."""
        self._intake.close()

    def note_end(self) -> None:
        """Note that a run has ended: there is room for another one."""
        self._look_at = 0.0

    def pause(self, seconds: float) -> None:
        """Claim nothing for some time, unless a run ends."""
        self._has_more, self._look_at = True, time.monotonic() + seconds

    @property
    def due_in_s(self) -> float:
        """Seconds until the next claim, if nothing happens before."""
        return max(0.0, self._look_at - time.monotonic()) if self._has_more and self._has_room else math.inf

    @property
    def goes_ahead(self) -> bool:
        """Whether a job may be claimed before there is room for it, as far as is known."""
        return self._has_more and not self._is_alone

    def claim(
        self, line: Sequence[Run], running: Counter[str], *, may_claim: bool, ending: Counter[str], unbegun: Sequence[Place]
    ) -> list[Claim]:
        """Record the ends of the runs that have returned, and return the claims of those that begin, or soon will.

        Args:
            line: the runs that go on, the oldest first.
            running: how many calls of each function go on or are to begin, by its path.
            may_claim: whether to claim any.
            ending: how many of them are about to end: so many more may be claimed.
            unbegun: those that have not begun.

        Raises:
            NotifyError, redis.RedisError: the worker was asked to end, and the server is still away.
        """
        rooms = {path: most - running[path] + (0 if self._is_alone else ending[path]) for path, most in self._most.items()}
        most = 0 if self._is_alone and unbegun else MOST_AHEAD if len(line) <= MOST_AHEAD else MOST_BESIDE
        wanted = max(0, min(most, max(rooms.values()), MOST_AHEAD - len(unbegun))) if may_claim else 0
        if self._is_full and any(room > self._rooms.get(path, 0) for path, room in rooms.items()):
            self._look_at = 0.0
        if self._intake.take():
            self._has_more, self._look_at = True, 0.0
        self._has_room = has_room = wanted > 0
        wanted = wanted if self.due_in_s == 0 else 0
        self.has_announced = False
        try:
            found = self._refill(line, rooms, wanted, unbegun, is_ahead=bool(ending)) if wanted > 0 or self._returned else []
        except ServerRefusedError as exc:  # a key of the worker or of the queues was spoilt
            self.pause(self._refusals.failed(exc, level=logging.ERROR))
            return []
        self._refusals.over()
        if has_room and not self._has_more:
            with suppress(ServerError):  # the next claim says so
                self._intake.ask(self._queues())
        return found

    def _refill(
        self, line: Sequence[Run], rooms: Mapping[str, int], wanted: int, unbegun: Sequence[Place], *, is_ahead: bool
    ) -> list[Claim]:
        queues = self._queues() if wanted else []
        ended = self._returned.ends()
        options: Any = {
            "wanted": wanted,
            "most_bytes": max(0, AHEAD_BYTES - sum(place.bytes for place in unbegun)),
            "rooms": rooms,
            "beside": True,
        }
        answer = self._claimer.refill(queues, ended=ended, line=line, **options)
        self._returned.conclude(answer.ended)
        claims = list(answer.claims)
        if not wanted or answer.answer == "unfinished":
            return claims
        self._has_more = answer.has_more
        self._rooms, self._is_full = rooms, answer.answer == "full"
        was_alone, self._is_alone = self._is_alone, answer.answer == "alone"
        if self._is_alone and unbegun:
            self._has_room = False  # until they have begun
        elif self._is_alone and not was_alone and is_ahead:
            self._has_more = True  # there may be less room than for one that goes ahead
        elif self._is_alone:
            return self._claim_alone(line, rooms)
        if answer.answer in ("full", "suspended"):
            self.pause(LOOK_S if answer.answer == "full" else SUSPENDED_S)
        return claims

    def _claim_alone(self, line: Sequence[Run], rooms: Mapping[str, int]) -> list[Claim]:
        """Claim what comes first by the claim for one job: it needs a service, or is of another kind."""
        claim = self._claimer.claim(self._queues(), ended=None, start=self._start, leave_s=0.0, line=line, rooms=rooms)
        self._start = claim.queue if claim.answer in ("more", "look") else 0
        if claim.answer == "started":
            self._has_more = self.has_announced = True
            return [claim]
        if claim.answer == "look":
            self._claims.examine_call(claim.job_id)
        elif claim.answer == "suspended":
            self.pause(SUSPENDED_S)
        elif claim.answer == "other" or claim.queue:  # or jobs that wait for an overdue service
            self.pause(LOOK_S)
        self._has_more = claim.answer != "" or claim.queue > 0
        return []

    def _queues(self) -> list[str]:
        return list(map(_key, self._worker._ordered_queues))
