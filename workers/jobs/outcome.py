"""The outcome of a job: how it ended, and why. `publish_outcome` publishes the outcomes that no script publishes."""

from typing import Any, Final, Literal

import msgspec

from notify.server import Client
from workers.jobs.reason import short_reason
from workers.scripts import CallbackScripts, OwedCallback, RecordScripts, Run

__all__ = ["Outcome", "Why", "failure", "owe_instead", "owe_on_failure", "owe_on_stopped", "publish_outcome", "read_outcome", "worker_died"]

_WORKER_DIED: Final = "its worker"
"""Prefix of the reason that `worker_died` writes."""
_PROCESS_DIED: Final = "Work-horse terminated"
"""Prefix of RQ's message about a work horse that died."""


class Why(msgspec.Struct, frozen=True):
    """The cause of a job's end.

    Args:
        rule: a loss: ``on_loss=cancel`` (or another policy), ``max_hold_s`` or ``grace_s``; a request to cancel: ``asked``;
            a job on which it depends: ``dependency``; its successor in a schedule: ``overlap``; a
            failure: ``raised`` (by the function), ``timeout``, ``process died`` or ``worker died``.
        service: the service that was lost; ``None`` if the job did not end by a loss.
        incarnation: the incarnation of that service.
        event: the id of the event on the service's status topic that announced the loss.
        after_ms: milliseconds from the loss to the decision.
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
        reason: the cause in words, at most 1,000 characters; of an error, its type and the first line of its message. Empty for a job
            that finished.
        need: the required service that was lost; ``None`` if the job did not end by a loss.
        at_ms: the time of the decision in ms since the epoch, by the server's clock; ``None`` if only RQ recorded the end.
        why: the rule, and the loss behind it; ``None`` for a job that finished.
    """

    status: str
    reason: str = ""
    need: str | None = None
    at_ms: int | None = None
    why: Why | None = None


def read_outcome(raw: bytes | None, *, otherwise: str) -> Outcome:
    """Return the outcome that a job's hash holds as JSON; one of the status ``otherwise`` if that cannot be read."""
    try:
        found = _outcome_decoder.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outcome(otherwise)
    return msgspec.structs.replace(found, reason=short_reason(found.reason))


def worker_died(worker: str, *, at_ms: int) -> Outcome:
    """Return the outcome of a job that failed because its worker died."""
    return failure(f"{_WORKER_DIED} {worker} died", at_ms=at_ms)


def failure(reason: str, *, at_ms: int | None = None) -> Outcome:
    """Return the outcome of a job that failed; the rule is derived from the reason."""
    return Outcome("failed", short_reason(reason), at_ms=at_ms, why=Why(_rule(reason)))


def _rule(reason: str) -> str:
    if reason.partition(":")[0].endswith("JobTimeoutException"):  # the type: a message may quote one
        return "timeout"
    if reason.startswith(_WORKER_DIED):
        return "worker died"
    return "process died" if reason.startswith(_PROCESS_DIED) else "raised"


_outcome_decoder: Final = msgspec.json.Decoder(Outcome)


def publish_outcome(client: Client, job: Any, outcome: Outcome, *, worker: str, pipeline: Any, seconds: float | None = None) -> None:
    """Count an outcome, and publish it on the topic of the job's queue if the settings select events of that status.

    Args:
        client: the client that the pipeline is of.
        job: the job.
        outcome: its outcome.
        worker: the worker that ran the job.
        pipeline: the transaction that records the outcome.
        seconds: how long the run took, if that is known.
    """
    contents = msgspec.to_builtins(outcome)
    RecordScripts(client).publish_event(job.origin, job.id, contents, worker=worker, pipeline=pipeline, seconds=seconds)


def owe_on_failure(client: Client, job: Any, run: Run, reason: str, *, pipeline: Any, is_refused: bool = False) -> None:
    """Have the ``on_failure`` of a job called, if it has one, for a run whose process can no longer call it.

    Args:
        client: the client that the pipeline is of.
        job: the job.
        run: the run that failed.
        reason: why it failed.
        pipeline: the transaction that records the end of the run.
        is_refused: whether the job cannot be read; otherwise the process or the worker of the run was killed.
    """
    if job._failure_callback_name:
        error: Literal["abandoned", "refused"] = "refused" if is_refused else "abandoned"
        owed = OwedCallback(job=job.id, fence=run.fence, function=job._failure_callback_name, reason=reason, error=error)
        CallbackScripts(client).owe(job.origin, owed, pipeline=pipeline)


def owe_on_stopped(client: Client, job: Any, run: Run, *, pipeline: Any) -> None:
    """Have the ``on_stopped`` of a job called, if it has one, for a stopped run whose worker can no longer have it called."""
    if job._stopped_callback_name:
        owed = OwedCallback(job=job.id, fence=run.fence, function=job._stopped_callback_name, reason="", error="")
        CallbackScripts(client).owe(job.origin, owed, pipeline=pipeline)


def owe_instead(job: Any, connection: Any, _kind: object, error: object, _trace: object) -> None:
    """Have a worker call the ``on_failure`` of a job, instead of this process. It takes what RQ passes to a callback."""
    client = Client.of(connection)
    fence: Any = client.hget(job.key, "fence") or b""
    with client.pipeline() as pipe:
        owe_on_failure(client, job, Run(job.id, fence.decode(errors="replace")), str(error), pipeline=pipe)
        pipe.execute()
