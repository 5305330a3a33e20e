"""A place in the line: one run, from its claim until its end is recorded."""

from typing import Any

from notify.process import steady_s
from workers.horse import HorseEnd, Task
from workers.line.stopping import Stopping
from workers.scripts import BEGIN_S, Claim, Run, number_in

__all__ = ["Place"]


class Place:
    """A run that the worker has claimed.

    Args:
        claim: its claim.
        queue: RQ's object for its queue.
        is_announced: whether the claim has written all that RQ holds of a run, and published its start.
        begin_by: the moment of `steady_s` until which the run begins; by default `BEGIN_S` from now on.
        runs_beside: whether it is performed side by side with others of this kind.
        function, concurrency: as in a `Task`.
    """

    def __init__(
        self,
        claim: Claim,
        queue: Any,
        *,
        is_announced: bool,
        begin_by: float | None = None,
        runs_beside: bool = False,
        function: str = "",
        concurrency: int = 0,
    ) -> None:
        self.claim = claim
        self.queue = queue
        self.run = Run(claim.job_id, claim.fence)
        self.number = number_in(claim.fence)
        self.bytes = sum(map(len, claim.fields.values()))
        self.is_announced: bool | None = is_announced
        """``None`` if it is not known: the answer was lost."""
        self.runs_beside = runs_beside
        self.function, self.concurrency = function, concurrency
        self.rings = True
        """Whether the horse wakes the worker at its end."""
        self.begin_by = steady_s() + BEGIN_S if begin_by is None else begin_by
        self.is_sent = False
        """Whether the horse has its task, with or without the token for it."""
        self.is_dropped = False
        """Whether it was stopped before it began: no horse gets it any more."""
        self.stopping: Stopping | None = None
        """The stop of a run that is performed side by side with others."""
        self.end: HorseEnd | None = None
        self.kept_by = 0
        """The process id of the horse in whose socket the reply still is."""

    @property
    def is_over(self) -> bool:
        """True when the horse has nothing more to do for it."""
        return self.is_dropped or self.end is not None

    def task(self, *, timeouts: int) -> Task:
        """Return the task for the horse; ``timeouts`` as there."""
        return Task(
            self.run.job_id,
            self.run.fence,
            self.queue.name,
            self.claim.fields,
            number=self.number,
            rings=self.rings,
            begin_by=self.begin_by,
            is_announced=bool(self.is_announced),
            runs_beside=self.runs_beside,
            timeouts=timeouts,
            function=self.function,
            concurrency=self.concurrency,
        )
