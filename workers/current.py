"""What runs here: for the code of a job."""

import rq

from notify import Bus
from notify.connection import Client, process_name
from workers.errors import JobNotFoundError
from workers.jobs import Job

__all__ = ["current_bus", "current_job"]


def current_job() -> Job:
    """Return the job that runs this code.

    Raises:
        JobNotFoundError: no job does.
    """
    found = rq.get_current_job()
    if not isinstance(found, Job):
        raise JobNotFoundError("no job runs here: current_job() is for functions that a worker calls")
    return found


def current_bus() -> Bus:
    """Return a bus on the connection of the job that runs this code; it is the worker's, so leave it open.

    Raises:
        JobNotFoundError: no job does.
    """
    return Bus(Client.of(current_job().connection), name=process_name())
