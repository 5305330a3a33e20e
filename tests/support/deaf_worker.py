"""A module of jobs that lets the worker that imports it renew its lease although the server does not answer its claims."""

import math

from workers import job
from workers.worker import claimer

claimer.UNHEARD_S = math.inf  # type: ignore[misc]  # the unprotected variant, for a twin


@job("work")
def nothing() -> None:
    """Do nothing: a module for a worker has a job."""
