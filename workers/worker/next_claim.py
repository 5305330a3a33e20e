"""The next claim of a worker whose line is empty: plain jobs come by a refill, and any others by a claim of their own."""

from collections.abc import Callable, Sequence

from workers.scripts import Claim
from workers.worker.ahead import Ahead
from workers.worker.claimer import LEAVE_S, Claimer
from workers.worker.returned import ReturnedRuns

__all__ = ["NextClaim"]


class NextClaim:
    """Records the ends of the last runs, and claims what comes next.

    A refill takes the server half of the time of a claim, but it takes plain jobs only. Where another one comes first, both are called;
    after such a job the refill is left out, for more of its kind may follow.

    Args:
        ahead: claims plain jobs.
        claimer: claims any.
        returned: the runs whose ends are recorded together with the claims.
        examine: notes in a job of which kind its call is, for the next claim.
    """

    def __init__(self, ahead: Ahead, claimer: Claimer, returned: ReturnedRuns, *, examine: Callable[[str], object]) -> None:
        self._ahead, self._claimer, self._returned, self._examine = ahead, claimer, returned, examine
        self._comes_alone = False
        """Whether a job may come next that has to be claimed alone."""
        self._start = 0
        """Where the next claim begins: after the jobs that the last one left where they are."""
        self.overdue = ""
        """A service that a job waits for, if the last claims met an overdue one."""

    def claim(self, queues: Sequence[str]) -> Claim | None:
        """Claim a job from the queues. Errors as for `Ahead.refill`.

        Returns:
            The claim; ``None`` if plain jobs were claimed, which the horse has got, or if there is no horse to give one to.
        """
        claim = None if self._ahead.find_lost() else self._claim(queues)
        if claim is not None:
            self.overdue = claim.overdue or (self.overdue if self._start else "")
            self._start = claim.queue if claim.answer in ("more", "look") else 0
            if claim.answer == "look":
                self._claimer.ask(lambda _: self._examine(claim.job_id), leave_s=LEAVE_S)
        return claim

    def _claim(self, queues: Sequence[str]) -> Claim | None:
        while True:
            if not self._start and not self._comes_alone:
                answer = self._ahead.claim()
                if answer == "started":
                    return None
                if answer == "unfinished":
                    continue  # the ends are recorded in another way by now
                if answer in ("", "suspended"):
                    return Claim("", answer, 0, "", {}, "")
            if len(self._returned) > 1:
                self._ahead.refill(0)
            ends = self._returned.ends()
            claim = self._claimer.claim(queues, ended=ends[0] if ends else None, start=self._start, leave_s=LEAVE_S if ends else 0.0)
            if ends:
                self._returned.conclude([claim.ended])
            if claim.ended in ("", "finished"):  # otherwise the script only answered about the end: claim again
                self._comes_alone = self._may_come_alone(claim)
                return claim

    def _may_come_alone(self, claim: Claim) -> bool:
        if claim.answer == "started":
            return not claim.goes_with_others
        return claim.queue > 0 if not claim.answer else self._comes_alone  # jobs that stay where they are
