"""The signals that end a worker: after its job, or at once."""

import logging
import signal
from datetime import timedelta
from typing import Any, Final

from workers.rq import PlainWorker, now
from workers.worker.current_run import CurrentRun

__all__ = ["END_NOW", "EndSignals"]

END_NOW: Final = signal.SIGQUIT
"""The signal by which a pool tells its workers to end at once."""
SAME_S: Final = 1.0
"""Seconds within which a second signal counts as the first one that came twice, such as by the terminal and by the parent process."""

log = logging.getLogger(__name__)


class EndSignals:
    """Handles the signals of a worker.

    SIGTERM and SIGINT end it after its job. In a worker of its own a second one ends it at once, as with RQ. In a pool they may come any
    number of times, and SIGHUP too: a service manager sends them to all processes, and the pool sends them once more. There only
    `END_NOW` ends the worker at once.

    Args:
        worker: the worker.
        current_run: its current run.
        is_in_pool: whether a pool has started the worker.
    """

    def __init__(self, worker: PlainWorker, current_run: CurrentRun, *, is_in_pool: bool) -> None:
        self._worker = worker
        self._current_run = current_run
        self._is_in_pool = is_in_pool
        self._is_forced = False

    def install(self) -> None:
        """Install the handlers."""
        self._current_run.is_cut = self._current_run.has_cut = self._is_forced = False
        if not self._is_in_pool:
            signal.signal(signal.SIGINT, self._worker.request_stop)
            signal.signal(signal.SIGTERM, self._worker.request_stop)
            return
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:  # as under nohup
                signal.signal(signum, self._end_after_job)
        signal.signal(END_NOW, self._end_now)

    def force(self, signum: int, frame: Any) -> None:
        """End the worker at once, at a second signal."""
        requested_at = self._worker._shutdown_requested_date
        if requested_at is not None and now() - requested_at < timedelta(seconds=SAME_S):
            return
        self._is_forced = True
        self._end_now(signum, frame)

    def exit_if_forced(self) -> None:
        """Raise `SystemExit` if a second signal ended the worker, as RQ does. Call this when all is recorded and closed."""
        if self._is_forced:
            raise SystemExit

    @property
    def has_cut(self) -> bool:
        """Whether a job ended with the worker because that was told to end at once."""
        return self._current_run.has_cut

    def _end_after_job(self, *_: object) -> None:
        if not self._worker._stop_requested:
            self._worker._shutdown_requested_date = now()
            self._worker.handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            self._worker._shutdown()  # type: ignore[no-untyped-call]  # as above

    def _end_now(self, *_: object) -> None:
        """End the process of the job. The main loop then records that the run ended with the worker, and ends."""
        self._current_run.is_cut = True
        self._end_after_job()
        self._worker.kill_horse()
