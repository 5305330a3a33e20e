"""One run of a job, its end, and whether it may continue."""

from typing import Final

import msgspec

__all__ = ["BEGIN_S", "DEFAULT_TIMEOUT_S", "Ended", "ErrorCheck", "Run", "RunCheck"]

BEGIN_S: Final = 2.0
"""Seconds after its claim within which a run begins, or else it is given back: its worker may have been frozen for longer."""
DEFAULT_TIMEOUT_S: Final = 180
"""The timeout of a job that has none of its own."""


class Run(msgspec.Struct, frozen=True):
    """One run of a job. Each run has a fence of its own, a random text. RQ calls the run an execution, and the fence its id."""

    job_id: str
    fence: str


class Ended(msgspec.Struct, frozen=True):
    """A run whose function returned.

    Args:
        run: the run.
        started_s, ended_s: when it started and ended, in seconds since the epoch.
        result: the return value, as JSON in base64; ``None`` if it was ``None``.
        is_announced: whether RQ's records of the run are written, and the event of its start is published; ``None``: the answer was lost.
    """

    run: Run
    started_s: float
    ended_s: float
    result: bytes | None = None
    is_announced: bool | None = True


class RunCheck(msgspec.Struct, frozen=True):
    """Whether a run may continue, as the server knew when it was asked.

    Args:
        may_run: true unless the run was stopped, has lost a service, or was superseded.
        grace_ms: milliseconds after which to check again, if a need is lost and its service may return within the grace; else ``None``.
        lost: the need whose loss this check found, or empty; the check has marked the run as stopped.
        superseded: another run has the job.
        overdue: a service that the job needs and that is silent but not withdrawn yet, or empty: the run goes on until it is withdrawn.
    """

    may_run: bool
    grace_ms: int | None = None
    lost: str = ""
    superseded: bool = False
    overdue: str = ""

    @property
    def was_stopped(self) -> bool:
        """True if the run had been marked as stopped before the check."""
        return not (self.may_run or self.lost or self.superseded)

    @classmethod
    def read(cls, answer: str) -> "RunCheck":
        """Return the check that an answer of ``check_run.lua`` stands for."""
        kind, _, detail = answer.partition(":")
        if kind == "lost":
            return cls(may_run=False, lost=detail)
        grace_ms = int(detail) if kind == "grace" else None
        overdue = detail if kind == "overdue" else ""
        return cls(may_run=kind in ("go on", "grace", "overdue"), grace_ms=grace_ms, superseded=kind == "superseded", overdue=overdue)


class ErrorCheck(msgspec.Struct, frozen=True):
    """Whether an error that left the function of a job is the loss of a service that the job needs.

    Args:
        lost: the need that was lost, or empty; the check has marked the run as stopped.
        is_open: nobody knows yet, because the service may be dead: check again.
        wait_ms: how many ms after the first check the answer is known at the latest.
        heard: what to pass to the next check.
    """

    lost: str = ""
    is_open: bool = False
    wait_ms: int = 0
    heard: str = ""

    @classmethod
    def read(cls, answer: str) -> "ErrorCheck":
        """Return the check that an answer of ``check_error.lua`` stands for."""
        kind, _, detail = answer.partition(":")
        if kind == "wait":
            wait_ms, _, heard = detail.partition(":")
            return cls(is_open=True, wait_ms=int(wait_ms), heard=heard)
        return cls(lost=detail if kind == "lost" else "")
