"""The fields of the log that say which job a record is of."""

import logging
import os
from typing import Any, Final

from notify.process import current_trace_id, is_traced
from workers.errors import JobError
from workers.jobs import Job, attempt_of
from workers.rq import DeserializationError, get_current_job

__all__ = ["FIELDS", "JobContext", "fields_of", "running_job"]

FIELDS: Final = ("job", "queue", "function", "run", "worker", "attempt")
"""The fields, in their order."""
WORKER: Final = "RQ_WORKER_ID"
"""The variable of the environment that holds the name of the worker, in the process of its jobs."""


class JobContext(logging.Filter):
    """Adds the fields of the running job to each record that its code logs, and those of RQ and of libraries meanwhile."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields, unless the record has some; keep every record."""
        if is_traced() and "trace_id" not in vars(record) and (trace_id := current_trace_id()):
            record.trace_id = trace_id
        if "job" not in vars(record):
            job = running_job()
            if job is not None:
                vars(record).update(fields_of(job))
        return True


def running_job() -> Job | None:
    """Return the job whose code runs here; ``None`` if none does."""
    job = get_current_job()
    return job if isinstance(job, Job) else None


def fields_of(job: Any, *, run: str = "", worker: str = "") -> dict[str, str | int]:
    """Return the fields of a job: ``job``, ``queue``, ``function``, ``run``, ``worker``, ``attempt``.

    Args:
        job: the job.
        run: the fence of its run; by default the one in the job, which has it in the process that runs it.
        worker: the name of the worker; by default the one of this process of jobs.
    """
    return {
        "job": str(job.id),
        "queue": str(job.origin or ""),
        "function": _function_of(job),
        "run": run or job.fence,
        "worker": worker or os.environ.get(WORKER, "") or str(job.worker_name or ""),
        "attempt": attempt_of(job),
    }


def _function_of(job: Any) -> str:
    try:
        return str(job.function_name)
    except (JobError, DeserializationError):
        return ""
