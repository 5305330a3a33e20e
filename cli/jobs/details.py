"""Everything about one job, for ``notify job show``."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cli.jobs.rows import iso_of, row_of, text_of
from cli.jobs.traceback import fold_frames
from notify import Json
from workers import Job, JobResultError
from workers.overview import JobDetails, details_of

__all__ = ["description_of", "lines_of"]


def description_of(found: Job) -> dict[str, Json]:
    """Return everything known about a job. What is empty is left out of the text, not of this."""
    outcome, around = found.outcome, details_of(found)
    result, problem = _result_of(found) if outcome and outcome.status == "finished" else (None, None)
    return {
        **row_of(found),
        **({} if found.problem else {"args": list[Json](found.args), "kwargs": dict[str, Json](found.kwargs)}),
        "outcome": msgspec.structs.asdict(outcome) if outcome else None,
        "problem": found.problem or problem,
        "result": result,
        "progress": _progress_of(found, around),
        "meta": found.meta or {},
        "heartbeat": iso_of(found.last_heartbeat),
        "timeout_s": found.timeout,
        "ttl_s": found.ttl,
        "result_ttl_s": found.result_ttl,
        "failure_ttl_s": found.failure_ttl,
        "grace_s": found.requirements.grace_s or None,
        "max_hold_s": found.requirements.max_hold_s,
        "retries_left": found.retries_left,
        "retry_intervals_s": list[Json](found.retry_intervals or ()),
        "retries": found.number_of_retries,
        "depends_on": dict[str, Json](around.depends_on),
        "dependents": dict[str, Json](around.dependents),
        "traceback": around.traceback,
    }


def _progress_of(found: Job, around: JobDetails) -> Json:
    """Return what the job reported by `Job.progress`, else what it wrote into its ``meta``."""
    if around.progress is not None:
        return {**msgspec.structs.asdict(around.progress), "percent": around.progress.percent}
    return found.meta.get("progress") if found.meta else None


def _result_of(found: Job) -> tuple[Json, str | None]:
    """Return the result of a job that finished, and the problem if it cannot be read."""
    try:
        return found.return_value(), None
    except JobResultError as exc:
        return None, str(exc)


def lines_of(described: Mapping[str, Any], *, full: bool) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the text: a label and a value each, and at the end the traceback.

    Args:
        described: from `description_of`.
        full: show all frames of the traceback.
    """
    for label, value in described.items():
        if label != "traceback" and value not in (None, "", {}, []):
            yield label, text_of(value)
    if described["traceback"]:
        traceback, folded = (described["traceback"], 0) if full else fold_frames(described["traceback"])
        yield ("",)
        yield from ((line,) for line in traceback.rstrip("\n").split("\n"))
        if folded:
            yield (f"({folded} frame{'s' if folded != 1 else ''} of the worker left out: --full shows them)",)
