"""The timeout of a job: an alarm of the operating system in the process that runs it."""

import _signal  # type: ignore[import-not-found]  # the C module under signal: faster, because it makes no enums of the numbers

from workers.rq import UnixSignalDeathPenalty

__all__ = ["JobTimeout"]


class JobTimeout(UnixSignalDeathPenalty):
    """Raises an exception in the main thread when the timeout of a job is over, as RQ's class does, with less overhead."""

    def setup_death_penalty(self) -> None:
        """Start the alarm. RQ calls this before the job."""
        _signal.signal(_signal.SIGALRM, self.handle_death_penalty)
        _signal.alarm(self._timeout)

    def cancel_death_penalty(self) -> None:
        """Stop the alarm. RQ calls this after the job."""
        _signal.alarm(0)
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
