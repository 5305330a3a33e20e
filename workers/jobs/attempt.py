"""What the hash of a job has beside RQ's fields, for its log and its trace: how many retries it had at first, and the span it comes from.

RQ counts only the retries that are left; with the number at first they tell which attempt this is.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from notify.process import NO_TRACE, Trace, current_trace

__all__ = ["attempt_of", "is_new", "log_fields", "origin_of", "trace_fields", "trace_of"]


class Origin(NamedTuple):
    """How many retries a job had at first, and the span in which it was enqueued."""

    retries: int = 0
    trace: Trace = NO_TRACE


UNKNOWN: Final = Origin()


def attempt_of(job: Any) -> int:
    """Return the number of the present or next attempt of a job, from 1.

    It counts what was tried again after an error, the death of a worker, or a returned ``Retry``; not what was given back, held, or
    enqueued anew by somebody.
    """
    left, at_first = job.retries_left or 0, _at_first(job)
    return 1 + max(0, at_first - left) + (job.number_of_retries or 0)


def origin_of(fields: Mapping[bytes, bytes]) -> Origin:
    """Return the retries at first, and the span, that the hash of a job holds."""
    return Origin(int(fields.get(b"retries") or 0), trace_of(fields))


def is_new(job: Any) -> bool:
    """Return whether a job was made here, and not read from Redis: then it carries the span in which it is saved."""
    return not hasattr(job, "_origin")


def trace_of(fields: Mapping[bytes, bytes]) -> Trace:
    """Return what the hash of a job holds of the span in which it was enqueued."""
    traceparent, tracestate = (fields.get(name, b"").decode(errors="replace") or None for name in (b"traceparent", b"tracestate"))
    return Trace(traceparent, tracestate)


def trace_fields(trace: Trace) -> dict[str, str]:
    """Return the fields for the hash of a job that tell its span: none without one."""
    return {name: value for name, value in trace._asdict().items() if value}


def log_fields(job: Any) -> dict[str, int | str]:
    """Return those fields for the hash of a job: none if it may not be tried again and is not traced."""
    at_first = _at_first(job)
    trace = current_trace() if is_new(job) else job._origin.trace
    return ({"retries": at_first} if at_first else {}) | trace_fields(trace)


def _at_first(job: Any) -> int:
    return max(getattr(job, "_origin", UNKNOWN).retries, job.retries_left or 0)
