"""Waits for the end of a run, sends its heartbeats, and kills a job that ignores its timeout."""

import time
from contextlib import suppress
from typing import Any, Final

from notify.errors import NotifyError
from workers.errors import HorseError
from workers.horse import UNKNOWN, Horse, HorseEnd
from workers.scripts import ClaimScripts
from workers.worker.finish import FinishingWorker

__all__ = ["EndWaiter"]

SHORT_S: Final = 0.02
"""Seconds after which a job is no short one: others are woken for the jobs behind it. Until then the scripts count on this worker, for
``SERVED_MS`` at most; see ``parts/wake.lua``."""
OVERDUE_S: Final = 60.0
"""Seconds after the timeout of a job at which its process is killed: a job that still runs then ignores the timeout."""


class EndWaiter:
    """Waits in the main thread of a worker while its horse performs a run.

    Args:
        worker: the worker, whose RQ methods send heartbeats.
        horse: the process that performs the run.
        claims: the scripts that wake other workers.
    """

    def __init__(self, worker: FinishingWorker, horse: Horse, claims: ClaimScripts) -> None:
        self._worker = worker
        self._horse = horse
        self._claims = claims

    def wait(self, job: Any) -> HorseEnd:
        """Wait for the end of a run of this job that the horse was given, and return how it ended."""
        began = time.monotonic()
        try:
            end = self._horse.wait(SHORT_S)
            if end is None:
                self._wake_others()
            while end is None:
                end = self._horse.wait(self._worker.job_monitoring_interval)
                if end is None:
                    self._go_on(job, time.monotonic() - began)
        except HorseError:
            return UNKNOWN
        return end

    def _go_on(self, job: Any, working_s: float) -> None:
        self._worker.send_run_heartbeat(job, working_s)
        if job.timeout and 0 < job.timeout < working_s - OVERDUE_S:
            self._worker.kill_horse()

    def _wake_others(self) -> None:
        with suppress(NotifyError):  # they look by themselves within a second
            self._claims.wake_idle(self._worker.queue_names(), is_leaving=True)
