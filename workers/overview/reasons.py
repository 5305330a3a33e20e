"""Why the jobs of a list ended, read for all of them in one round trip."""

import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from typing import Any, Final

from notify.server import Client
from workers import rq_keys
from workers.jobs import Job, read_outcome, reason_in
from workers.scripts import unpacked

__all__ = ["reasons_of"]

ENDED_BADLY: Final = frozenset({b"failed", b"stopped", b"canceled"})


def reasons_of(client: Client, rows: Sequence[tuple[Job, Mapping[bytes, bytes]]]) -> dict[str, str]:
    """Return the reason of each job that failed, was stopped or was cancelled, by its id; of the others why they cannot be run, if so.

    Args:
        client: the server.
        rows: jobs with their hashes, from `workers.jobs.read_job_rows`.

    Raises:
        redis.RedisError: Redis did not answer, or refused.
    """
    reasons: dict[str, str] = {}
    failed: list[Job] = []
    for job, fields in rows:
        status = fields.get(b"status", b"")
        reason = read_outcome(fields.get(b"outcome"), otherwise="").reason if status in ENDED_BADLY else ""
        if status == b"failed" and not reason:
            failed.append(job)
        reasons[job.id] = reason or job.problem
    if failed:
        with client.pipeline(transaction=False) as pipe:
            for job in failed:
                pipe.xrevrange(rq_keys.results(job.id), count=1)
            answers = pipe.execute(raise_on_error=False)
        for job, answer in zip(failed, answers, strict=True):
            reasons[job.id] = reason_in(_error_in(answer, max_bytes=client.settings.max_payload_bytes)) or reasons[job.id]
    return reasons


def _error_in(answer: Any, *, max_bytes: int) -> str:
    """Return the text of the error in the last result of a job, which RQ compresses; empty if there is none, or it was spoilt."""
    if not isinstance(answer, list) or not answer:
        return ""
    try:
        encoded = answer[0][1].get(b"exc_string", b"")
        return unpacked(b64decode(encoded), max_bytes=max_bytes).decode(errors="replace")
    except (ValueError, Base64Error, zlib.error, LookupError, AttributeError):
        return ""
