"""One run of a job, and how it ended."""

from typing import Final

import msgspec

__all__ = ["DEFAULT_TIMEOUT_S", "Ended", "Run"]

DEFAULT_TIMEOUT_S: Final = 180


class Run(msgspec.Struct, frozen=True):
    """One run of a job: the fence tells it from any other run of the same job. RQ calls it an execution, the fence its id."""

    job_id: str
    fence: str


class Ended(msgspec.Struct, frozen=True):
    """A run whose function returned.

    Args:
        run: which.
        started_s, ended_s: when, in seconds since the epoch.
        result: what it returned, as JSON in base64; ``None`` for nothing.
    """

    run: Run
    started_s: float
    ended_s: float
    result: bytes | None = None
