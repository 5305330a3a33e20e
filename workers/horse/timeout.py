"""What ends a job that takes longer than it may: RQ's alarm, without what ``signal`` spends on names."""

import _signal  # type: ignore[import-not-found]  # the C part of signal, which translates nothing into names

from rq.timeouts import UnixSignalDeathPenalty

__all__ = ["JobTimeout"]


class JobTimeout(UnixSignalDeathPenalty):
    """Raises in the main thread when the time is over."""

    def setup_death_penalty(self) -> None:
        _signal.signal(_signal.SIGALRM, self.handle_death_penalty)
        _signal.alarm(self._timeout)

    def cancel_death_penalty(self) -> None:
        _signal.alarm(0)
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
