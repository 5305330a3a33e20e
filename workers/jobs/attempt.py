"""How often a job was tried: RQ counts only the retries that are left, so a job that has some remembers how many it had at first."""

from typing import Any

__all__ = ["attempt_of", "retries_field"]


def attempt_of(job: Any) -> int:
    """Return the number of the present or next attempt of a job, from 1.

    It counts what was tried again after an error, the death of a worker, or a returned ``Retry``; not what was given back, held, or
    enqueued anew by somebody.
    """
    left, at_first = job.retries_left or 0, _at_first(job)
    return 1 + max(0, at_first - left) + (job.number_of_retries or 0)


def retries_field(job: Any) -> dict[str, int]:
    """Return the field ``retries`` of the hash of a job, with the retries that it had at first; empty if it had none."""
    at_first = _at_first(job)
    return {"retries": at_first} if at_first else {}


def _at_first(job: Any) -> int:
    return max(getattr(job, "_retries", 0), job.retries_left or 0)
