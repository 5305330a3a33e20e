"""Publishes and logs the ends of runs that RQ's code records. For all other transitions the scripts publish the event."""

import logging
from collections.abc import Callable
from typing import Any

from notify.errors import ServerError
from notify.server import Client
from workers.errors import JobNotFoundError
from workers.jobs import Job, publish_outcome
from workers.scripts import RecordScripts
from workers.worker.logs import log_end

__all__ = ["publish_end", "publish_retry"]

log = logging.getLogger(__name__)


def publish_retry(client: Client, job: Any, error: str, *, worker: str, seconds: Callable[[], float]) -> None:
    """Publish that a run ended and that the job is tried again. RQ's code puts it back afterwards, which is an event of its own.

    Args:
        client: the client of the worker.
        job: the job; nothing is published for a job of plain RQ, whose caller uses RQ's methods directly.
        error: why; the last line of a traceback is published.
        worker: the name of the worker.
        seconds: returns how long the run took.
    """
    if isinstance(job, Job):
        reason = (error.strip().splitlines() or [""])[-1].strip()
        log_end(job, "failed", f"{reason} (it is tried again)", seconds=seconds)
        try:
            RecordScripts(client).publish_event(job.origin, job.id, "retried", reason=reason, worker=worker)
        except ServerError as exc:
            log.warning("worker %s could not publish that job %s is tried again: %s", worker, job.id, exc)


def publish_end(client: Client, job: Any, *, worker: str, seconds: Callable[[], float]) -> None:
    """Publish how a job ended; arguments as for `publish_retry`."""
    if isinstance(job, Job):
        try:
            outcome = job.outcome
            if outcome is not None:
                log_end(job, outcome.status, outcome.reason, seconds=seconds)
                publish_outcome(client, job, outcome, source=worker)
        except (ServerError, JobNotFoundError) as exc:
            log.warning("worker %s could not publish the end of job %s: %s", worker, job.id, exc)
