"""Publishes the job events of ends that RQ's code records. For all other transitions the scripts publish them."""

import logging
from typing import Any

from notify.errors import ServerError
from notify.server import Client
from workers.errors import JobNotFoundError
from workers.jobs import Job, publish_outcome
from workers.scripts import RecordScripts

__all__ = ["publish_end", "publish_retry"]

log = logging.getLogger(__name__)


def publish_retry(client: Client, job: Any, error: str, *, worker: str) -> None:
    """Publish that a run ended and that the job is tried again. RQ's code puts it back afterwards, which is an event of its own.

    Args:
        client: the client of the worker.
        job: the job; nothing is published for a job of plain RQ, whose caller uses RQ's methods directly.
        error: why; the last line of a traceback is published.
        worker: the name of the worker.
    """
    if isinstance(job, Job):
        reason = (error.strip().splitlines() or [""])[-1].strip()
        try:
            RecordScripts(client).publish_event(job.origin, job.id, "retried", reason=reason, worker=worker)
        except ServerError as exc:
            log.warning("worker %s could not publish that job %s is tried again: %s", worker, job.id, exc)


def publish_end(client: Client, job: Any, *, worker: str) -> None:
    """Publish how a job ended; arguments as for `publish_retry`."""
    if isinstance(job, Job):
        try:
            outcome = job.outcome
            if outcome is not None:
                publish_outcome(client, job, outcome, source=worker)
        except (ServerError, JobNotFoundError) as exc:
            log.warning("worker %s could not publish the end of job %s: %s", worker, job.id, exc)
