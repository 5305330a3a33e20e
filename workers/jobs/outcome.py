"""How a job ended, and why."""

from typing import Final

import msgspec

__all__ = ["Outcome", "Why", "failure", "worker_died"]

_WORKER_DIED: Final = "its worker"
_PROCESS_DIED: Final = "Work-horse terminated"
"""How RQ's words for that begin."""


class Why(msgspec.Struct, frozen=True):
    """What a job was ended by.

    Args:
        rule: ``on_loss=cancel`` (or another policy), ``max_hold_s``, ``grace_s``, ``asked``, ``raised``, ``timeout``,
            ``process died`` or ``worker died``.
        service: the service that was lost.
        incarnation: which one of that name.
        event: the id of the event on its status topic that told so.
        after_ms: how many milliseconds after that this was decided.
    """

    rule: str
    service: str | None = None
    incarnation: int | None = None
    event: str | None = None
    after_ms: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a job ended, and why.

    Args:
        status: ``finished``, ``failed``, ``stopped`` (while running) or ``cancelled`` (before it started).
        reason: in words; empty for a job that finished.
        need: what it had lost, ``None`` if it was not that.
        at_ms: when that was decided, by the server's clock; ``None`` where only RQ's own record tells.
        why: the rule, and what made it count; ``None`` for a job that finished.
    """

    status: str
    reason: str = ""
    need: str | None = None
    at_ms: int | None = None
    why: Why | None = None


def worker_died(worker: str, *, at_ms: int) -> Outcome:
    """Return how a job failed whose worker died."""
    return failure(f"{_WORKER_DIED} {worker} died", at_ms=at_ms)


def failure(reason: str, *, at_ms: int | None = None) -> Outcome:
    """Return how a job failed, from what is kept of that in words."""
    return Outcome("failed", reason, at_ms=at_ms, why=Why(_rule(reason)))


def _rule(reason: str) -> str:
    if "JobTimeoutException" in reason:
        return "timeout"
    if reason.startswith(_WORKER_DIED):
        return "worker died"
    return "process died" if reason.startswith(_PROCESS_DIED) else "raised"
