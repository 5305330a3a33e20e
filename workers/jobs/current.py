"""What runs here: for the code of a job."""

import rq

from notify import Bus
from notify.server import Client, process_name
from notify.state import Fence
from workers import rq_keys
from workers.errors import JobNotFoundError
from workers.jobs.handle import Job

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

    What is written to a state through it is refused (`notify.FencedError`) once the job was stopped or cancelled, or another
    run has it: in the same step, so that no such write comes after a `Job.cancel` has returned.

    Raises:
        JobNotFoundError: no job does.
    """
    job = current_job()
    return Bus(Client.of(job.connection), name=process_name(), fences=_fences(job))


def _fences(job: Job) -> tuple[Fence, ...]:
    if not job.fence:  # it runs without one of our workers
        return ()
    return (Fence(rq_keys.job(job.id), "fence", job.fence, f"job {job.id} was stopped or cancelled, or another run has it"),)
