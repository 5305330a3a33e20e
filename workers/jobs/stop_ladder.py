"""The steps by which a running job is stopped before its process is killed."""

import mmap

import msgspec

from workers.errors import JobDefinitionError

__all__ = ["JobStopped", "StopLadder", "StopSign"]


class JobStopped(BaseException):  # like KeyboardInterrupt it is no error, and `except Exception` does not catch it
    """Raised in a running job that is stopped, if its `StopLadder` asks for it. Clean up, and let it propagate."""


class StopLadder(msgspec.Struct, frozen=True):
    """The steps by which a running job is stopped. Each step is taken if the job still runs when the time of the step before is
    over; a step of 0 seconds is left out. The last step is always SIGKILL, to all processes of the job.

    However the job ends in that time, its outcome is ``stopped``.

    Args:
        flag_s: seconds in which `Job.stopping` is true and nothing else happens.
        exception_s: seconds after `JobStopped` was raised in the main thread of the job (by SIGUSR1, which is reserved for this).
        sigterm_s: seconds after SIGTERM was sent to the process of the job and to the processes that it started.
    """

    flag_s: float = 0.0
    exception_s: float = 0.0
    sigterm_s: float = 0.0

    def __post_init__(self) -> None:
        if not all(isinstance(time_s, int | float) and 0 <= time_s < float("inf") for time_s in msgspec.structs.astuple(self)):
            raise JobDefinitionError(f"{self!r} has a time that is no number of seconds: give 0 or more for each step")


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
