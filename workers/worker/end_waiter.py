"""Waits for the end of a run, sends its heartbeats, and kills a job that ignores its timeout."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from notify.errors import NotifyError
from workers.errors import HorseError
from workers.fleet import NameHold
from workers.horse import UNKNOWN, HorseEnd
from workers.line import Line, Place
from workers.scripts import ClaimScripts
from workers.worker.finish import FinishingWorker

__all__ = ["EndWaiter"]

GOES_ON_S: Final = 0.02
"""Seconds after which a job is no short one: what is claimed behind it goes back, and others are woken for it. Until then the scripts count
on this worker, for ``SERVED_MS`` at most; see ``parts/wake.lua``."""
AGAIN_S: Final = 1.0
"""Seconds after which that is tried again, if the server was away: what is claimed behind a long job must not wait for its end."""
OVERDUE_S: Final = 60.0
"""Seconds after the timeout of a job at which its process is killed: a job that still runs then ignores the timeout."""


class EndWaiter:
    """Waits in the main thread of a worker while its horse performs a run.

    Args:
        worker: the worker, whose RQ methods send heartbeats.
        line: the line that the run is in.
        claims: the scripts that wake other workers.
        hold: the hold of the worker on its name: without it, what is written for the run would be that of another worker.
        took_answer: called when nothing came from the horse: takes the answer to a claim, and says whether one had arrived.
        goes_on: called when the run turns out not to be a short one, and again each second until it says that all is done.
    """

    def __init__(
        self,
        worker: FinishingWorker,
        line: Line,
        claims: ClaimScripts,
        *,
        hold: NameHold,
        goes_on: Callable[[Any], bool],
        took_answer: Callable[[], bool],
    ) -> None:
        self._hold = hold
        self._worker = worker
        self._line = line
        self._claims = claims
        self._goes_on, self._took_answer = goes_on, took_answer

    def wait(self, job: Any, place: Place) -> HorseEnd | None:
        """Wait for the end of a run that the horse has, and return how it ended; ``None`` if it was stopped before it began.

        Args:
            job: the job.
            place: its place, the first of the line.
        """
        began = time.monotonic()
        try:
            if self._is_over(place, GOES_ON_S):
                return place.end
            is_done = self._go_on(job)
            self._wake_others()
            while not self._is_over(place, self._worker.job_monitoring_interval if is_done else AGAIN_S):
                is_done = is_done or self._go_on(job)
                self._beat(job, time.monotonic() - began, is_announced=is_done)
        except HorseError:
            return UNKNOWN
        return place.end

    def _is_over(self, place: Place, timeout_s: float) -> bool:
        """Wait for the end of a run, and return whether it came in time. A ring of another thread may end the wait before that."""
        while not place.is_over:
            if not self._line.wait(timeout_s) and not self._has_taken_answer():
                break
        return place.is_over

    def _go_on(self, job: Any) -> bool:
        """Do what is due when a run goes on. Returns whether that is done."""
        with suppress(NotifyError):  # the server is away, and nobody knows who has the name
            return not self._hold.is_replaced() and self._goes_on(job)
        return False

    def _has_taken_answer(self) -> bool:
        with suppress(NotifyError):  # the worker is to end, and the server is away: the run goes on all the same
            return self._took_answer()
        return False

    def _beat(self, job: Any, working_s: float, *, is_announced: bool) -> None:
        if is_announced and self._hold.is_fresh():  # before that, its start would never be told
            self._worker.send_run_heartbeat(job, working_s)
        if job.timeout and 0 < job.timeout < working_s - OVERDUE_S:
            self._worker.kill_horse()

    def _wake_others(self) -> None:
        with suppress(NotifyError):  # they look by themselves within a second
            self._claims.wake_idle(self._worker.queue_names(), is_leaving=True)
