"""How a running job is told to stop, before its process is killed."""

import mmap

import msgspec

from workers.errors import JobDefinitionError

__all__ = ["JobStopped", "StopLadder", "StopSign"]


class JobStopped(BaseException):  # like KeyboardInterrupt: what happens, not a mistake; "except Exception" lets it through
    """Raised in a job that is stopped and has asked for it, see `StopLadder`. Put things away, and let it pass."""


class StopLadder(msgspec.Struct, frozen=True):
    """What a running job is granted when it is stopped. Each step is taken if the job is still there after the time of the
    one before; a step without time is left out. The last one is always SIGKILL, to all processes of the job.

    However the job ends in that time, it ends as stopped.

    Args:
        flag_s: seconds in which `Job.stopping` is true and nothing else happens.
        exception_s: seconds after `JobStopped` was raised in its main thread (by SIGUSR1, which is taken for that).
        sigterm_s: seconds after SIGTERM was sent to its process and those that it started.
    """

    flag_s: float = 0.0
    exception_s: float = 0.0
    sigterm_s: float = 0.0

    def __post_init__(self) -> None:
        if not all(isinstance(time_s, int | float) and 0 <= time_s < float("inf") for time_s in msgspec.structs.astuple(self)):
            raise JobDefinitionError(f"{self!r} has times that are no seconds: give 0 or more for each")


class StopSign:
    """A sign that one process puts up and those that it forked see."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def is_up(self) -> bool:
        return self._shared[0] != 0

    def put_up(self) -> None:
        self._shared[0] = 1

    def take_down(self) -> None:
        self._shared[0] = 0
