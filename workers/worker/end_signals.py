"""The signals that end a worker: after its job, or at once."""

import logging
import signal
from datetime import timedelta
from typing import Any, Final

from workers.rq import PlainWorker, handle_command, now
from workers.worker.current_run import CurrentRun

__all__ = ["END_NOW", "EndSignals", "signals_of_pool"]

END_NOW: Final = signal.SIGQUIT
"""The signal by which a pool tells its workers to end at once."""
SAME_S: Final = 1.0
"""Seconds within which a second signal counts as the first one that came twice, such as by the terminal and by the parent process."""

log = logging.getLogger(__name__)


def signals_of_pool() -> list[signal.Signals]:
    """Return the signals that a worker process of a pool handles; SIGHUP is not one of them under ``nohup``."""
    warm = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        warm.append(signal.SIGHUP)
    return [*warm, END_NOW]


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
        self.are_elsewhere = False
        """Whether somebody else handles the signals, and calls `end_after_job` and `end_now`: a process with several workers."""

    def install(self) -> None:
        """Install the handlers."""
        self._current_run.is_cut = self._current_run.has_cut = self._is_forced = False
        if self.are_elsewhere:
            return
        if not self._is_in_pool:
            signal.signal(signal.SIGINT, self._worker.request_stop)
            signal.signal(signal.SIGTERM, self._worker.request_stop)
            return
        for signum in signals_of_pool():
            signal.signal(signum, self.end_now if signum == END_NOW else self.end_after_job)

    def force(self, signum: int, frame: Any) -> None:
        """End the worker at once, at a second signal."""
        requested_at = self._worker._shutdown_requested_date
        if requested_at is not None and now() - requested_at < timedelta(seconds=SAME_S):
            return
        self._is_forced = True
        self.end_now(signum, frame)

    def exit_if_forced(self) -> None:
        """Raise `SystemExit` if a second signal ended the worker, as RQ does. Call this when all is recorded and closed."""
        if self._is_forced:
            raise SystemExit

    def obey(self, command: dict[str, Any]) -> None:
        """Obey a command of RQ that stops no job. To end, RQ's code would send a signal to the process, which may have other workers."""
        if self.are_elsewhere and command["command"] == "shutdown":
            self.end_after_job()
        else:
            handle_command(self._worker, command)

    @property
    def told_to_end(self) -> bool:
        """Whether the worker was told to end, by a signal or by a command."""
        return bool(self._worker._stop_requested)

    @property
    def has_cut(self) -> bool:
        """Whether a job ended with the worker because that was told to end at once."""
        return self._current_run.has_cut

    def end_after_job(self, *_: object) -> None:
        """End the worker after its job. Without effect if it was told so before."""
        if not self._worker._stop_requested:
            self._worker._shutdown_requested_date = now()
            self._worker.handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
            self._worker._shutdown()  # type: ignore[no-untyped-call]  # as above

    def end_now(self, *_: object) -> None:
        """End the process of the job. The main loop then records that the run ended with the worker, and ends."""
        self._current_run.is_cut = True
        self.end_after_job()
        self._worker.kill_horse()
