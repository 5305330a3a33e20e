"""A module of jobs with which a worker does not wait while the server has no room for its connections."""

from workers import job
from workers.worker import start

start.SIGNS = ()  # type: ignore[misc]  # the unprotected variant, for a twin


@job("work")
def nothing() -> None:
    """Do nothing: a module for a worker has a job."""
