"""The stop of a run that is performed side by side with others: orders to its task, and at last the end of the whole process."""

import time
from typing import Final

from workers.jobs import StopLadder

__all__ = ["KILL", "Stopping"]

FLAG: Final = "flag"
CANCEL: Final = "cancel"
KILL: Final = "kill"
CANCEL_S: Final = 1.0
"""Seconds for which a job has time to end after its ``CancelledError``, unless its stop ladder says another."""


class Stopping:
    """The steps of a stop: the flag, if the ladder has that step; the ``CancelledError``; and at last the kill, which hits all others.

    Args:
        reason: why the run is stopped; empty: another run has the job, so nothing is recorded.
        ladder: the stop ladder of the job. Its SIGTERM is left out: it would hit the others.
    """

    def __init__(self, reason: str, ladder: StopLadder) -> None:
        self.reason = reason
        cancel_s = ladder.exception_s or ladder.sigterm_s or CANCEL_S
        self._steps = [(FLAG, ladder.flag_s)] if ladder.flag_s else []
        self._steps += [(CANCEL, cancel_s), (KILL, 0.0)]
        self._due = time.monotonic()

    @property
    def due_in_s(self) -> float:
        """Seconds until the next step; infinite after the last one."""
        return max(0.0, self._due - time.monotonic()) if self._steps else float("inf")

    def next_step(self) -> str:
        """Return the step that is due now: ``flag``, ``cancel`` or ``kill``; or an empty text."""
        if self.due_in_s > 0:
            return ""
        step, time_s = self._steps.pop(0)
        self._due = time.monotonic() + time_s
        return step
