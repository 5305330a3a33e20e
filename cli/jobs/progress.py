"""A bar on a terminal while ``notify job wait`` waits for a job that reports its progress."""

from typing import TYPE_CHECKING, Final

from cli.output import Output
from notify.process import printable
from workers import Job, Outcome
from workers.jobs import Progress, read_progress

if TYPE_CHECKING:
    from cli.output.terminal import Bar

__all__ = ["ProgressBar", "text_of_progress"]

LOOK_S: Final = 0.5
"""Time between two looks at the progress. Without a terminal there are none."""


class ProgressBar:
    """Waits for the end of a job, and shows its progress meanwhile. Use it as a context manager.

    Args:
        output: the bar goes to its stderr if that is a terminal, unless the output is JSON.
        waited: the job.
    """

    def __init__(self, output: Output, waited: Job) -> None:
        self._output, self._waited = output, waited
        self._bar: Bar | None = None

    def wait(self, left_s: float | None) -> Outcome | None:
        """Wait for the end of the job, or for the next look at its progress.

        Args:
            left_s: the most seconds to wait; ``None`` for no limit.

        Returns:
            How the job ended; ``None`` if it has not.

        Raises:
            ServerError: Redis did not answer, or refused.
            JobNotFoundError: the job no longer exists.
        """
        if not self._output.can_change:
            return self._waited.wait(left_s)
        outcome = self._waited.wait(LOOK_S if left_s is None else min(LOOK_S, left_s))
        if outcome is None and (progress := read_progress(self._waited)) is not None:
            self._bar = self._bar or self._output.bar()
            if self._bar is not None:
                self._bar.show(progress.done, progress.total, text_of_progress(progress))
        return outcome

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def text_of_progress(progress: Progress) -> str:
    """Return a progress in words: ``40 of 100 (40 %), loading``."""
    done = f"{progress.done:g}"
    if progress.total is not None:
        done += f" of {progress.total:g}"
    if progress.percent is not None:
        done += f" ({progress.percent:.0f} %)"
    return f"{done}, {printable(progress.message)}" if progress.message else done
