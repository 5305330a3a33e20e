"""What the hash of a job has beside RQ's fields, for its log and its trace: how many retries it had at first, and the span it comes from.

RQ counts only the retries that are left; with the number at first they tell which attempt this is.
"""

from collections.abc import Mapping
from typing import Any, Final

from notify.process import current_traceparent

__all__ = ["TRACEPARENT", "attempt_of", "log_fields", "origin_of"]

TRACEPARENT: Final = "traceparent"
"""The field with the span in which a job was enqueued, by W3C."""


def attempt_of(job: Any) -> int:
    """Return the number of the present or next attempt of a job, from 1.

    It counts what was tried again after an error, the death of a worker, or a returned ``Retry``; not what was given back, held, or
    enqueued anew by somebody.
    """
    left, at_first = job.retries_left or 0, _at_first(job)
    return 1 + max(0, at_first - left) + (job.number_of_retries or 0)


def origin_of(fields: Mapping[bytes, bytes]) -> tuple[int, str]:
    """Return the retries at first, and the span, that the hash of a job holds."""
    return int(fields.get(b"retries") or 0), fields.get(TRACEPARENT.encode(), b"").decode(errors="replace")


def log_fields(job: Any) -> dict[str, int | str]:
    """Return those fields for the hash of a job: none if it may not be tried again and is not traced."""
    at_first = _at_first(job)
    _, traceparent = getattr(job, "_origin", (0, ""))
    traceparent = traceparent if hasattr(job, "_origin") else current_traceparent() or ""
    return ({"retries": at_first} if at_first else {}) | ({TRACEPARENT: traceparent} if traceparent else {})


def _at_first(job: Any) -> int:
    return max(getattr(job, "_origin", (0, ""))[0], job.retries_left or 0)
