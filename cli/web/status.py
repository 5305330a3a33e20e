"""The status with which an error is answered, and its text."""

from typing import Final

from starlette.exceptions import HTTPException

from cli.web.runs import PageEndedError, RunNotFoundError
from cli.web.view import FilterError
from notify import (
    ContentsError,
    InvalidServiceError,
    InvalidTopicError,
    NotifyError,
    ServerError,
    ServerUnreachableError,
    ServiceNotFoundError,
)
from workers import JobDefinitionError, JobNotFoundError, JobRefusedError, QueueNotFoundError, WorkerNotFoundError

__all__ = ["status_of"]

STATUSES: Final[tuple[tuple[type[NotifyError], int], ...]] = (
    (JobNotFoundError, 404),
    (QueueNotFoundError, 404),
    (ServiceNotFoundError, 404),
    (WorkerNotFoundError, 404),
    (RunNotFoundError, 404),
    (PageEndedError, 503),
    (JobRefusedError, 409),
    (FilterError, 400),
    (JobDefinitionError, 400),
    (InvalidServiceError, 400),
    (InvalidTopicError, 400),
    (ContentsError, 400),
    (ServerUnreachableError, 503),
    (ServerError, 502),
)


def status_of(error: Exception) -> tuple[int, str]:
    """Return the HTTP status for an error, and its message."""
    if isinstance(error, HTTPException):
        text = str(error.detail)
        return error.status_code, "There is no such page." if error.status_code == 404 and text == "Not Found" else text
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500), str(error)
