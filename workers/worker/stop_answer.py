"""The answer of a worker that was told to end: whether it still runs a job."""

from collections.abc import Callable

__all__ = ["StopAnswer"]


class StopAnswer:
    """Gives the answer once, as soon as it is known. `asked` is safe in a signal handler; it may interrupt the other methods.

    Args:
        tell: called with whether a job still runs; ``None``: nobody wants to know.
    """

    def __init__(self, tell: Callable[[bool], object] | None) -> None:
        self._tell = tell
        self._is_asked = self._is_busy = self._has_told = False

    def reset(self) -> None:
        """Begin anew: the worker may have worked before."""
        self._is_asked = self._is_busy = self._has_told = False

    def asked(self) -> None:
        """Record that the worker was told to end. While a claim is on its way, `job_begins` or `idle` answers."""
        self._is_asked = True
        if self._is_busy:
            self._answer(is_busy=True)

    def job_begins(self) -> None:
        """Record that a job was claimed. `asked` sets its flag and then reads this one; here it is the other way round."""
        self._is_busy = True
        if self._is_asked:
            self._answer(is_busy=True)

    def job_ended(self) -> None:
        """Record that the process of the job is done with it."""
        self._is_busy = False

    def idle(self) -> None:
        """Record that the worker ends, and runs no job."""
        self._answer(is_busy=False)

    def _answer(self, *, is_busy: bool) -> None:
        if self._tell is not None and not self._has_told:
            self._has_told = True
            self._tell(is_busy)
