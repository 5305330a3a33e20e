"""The steps by which a running job is stopped before its process is killed."""

import mmap
from typing import Protocol

import msgspec

from workers.errors import JobDefinitionError

__all__ = ["JobStopped", "Sign", "StopLadder", "StopSign"]


class JobStopped(BaseException):  # as for KeyboardInterrupt: `except Exception` does not catch it
    """Raised in a running job that is stopped, if its `StopLadder` asks for it. Clean up, and let it propagate."""


class StopLadder(msgspec.Struct, frozen=True):
    """The steps by which a running job is stopped: a flag, an exception, SIGTERM, and always SIGKILL at last.

    Each step is taken if the job still runs when the time of the step before is over. A step of 0 seconds is left out. SIGKILL
    goes to all processes of the job. Whether the job returns or raises meanwhile, its outcome is ``stopped``.

    Args:
        flag_s: seconds for which `Job.stopping` is true before the next step.
        exception_s: seconds between `JobStopped`, which is raised in the main thread of the job by SIGUSR1, and the next step. A job
            must not use that signal itself.
        sigterm_s: seconds between SIGTERM, which is sent to the process of the job and to the processes that it started, and SIGKILL.
    """

    flag_s: float = 0.0
    exception_s: float = 0.0
    sigterm_s: float = 0.0

    def __post_init__(self) -> None:
        if not all(isinstance(time_s, int | float) and 0 <= time_s < float("inf") for time_s in msgspec.structs.astuple(self)):
            raise JobDefinitionError(f"{self!r} has a time that is no number of seconds: give 0 or more for each step")


class Sign(Protocol):
    """What tells a job that it is being stopped."""

    @property
    def is_up(self) -> bool:
        """Whether it is."""


class StopSign:
    """A flag in memory that a process shares with the processes it forks."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def is_up(self) -> bool:
        """Whether the flag is set."""
        return self._shared[0] != 0

    def put_up(self) -> None:
        """Set the flag."""
        self._shared[0] = 1

    def take_down(self) -> None:
        """Clear the flag."""
        self._shared[0] = 0
