"""Access to the running job and its bus, for the code of the job."""

from notify import Bus
from notify.server import Client, process_name, sharing
from notify.state import Fence
from workers import rq_keys
from workers.errors import JobNotFoundError
from workers.jobs.handle import Job
from workers.rq import get_current_job

__all__ = ["current_bus", "current_job"]


def current_job() -> Job:
    """Return the job that runs this code.

    Raises:
        JobNotFoundError: the code does not run in a job.
    """
    found = get_current_job()
    if not isinstance(found, Job):
        raise JobNotFoundError("no job runs here: current_job() is for functions that a worker calls")
    return found


def current_bus() -> Bus:
    """Return a bus on the connection of the job that runs this code.

    What the code opens through the bus, it must close before it returns: each part by itself, or all with `Bus.close`, for example
    ``with current_bus() as bus``. The connection belongs to the worker and stays open.

    Redis refuses a write to a state through this bus (`notify.FencedError`) once the job is stopped or cancelled, or another run
    has the job. The check and the write are one step, so no such write happens after a `Job.cancel` has returned.

    Raises:
        JobNotFoundError: the code does not run in a job.
    """
    job = current_job()
    connection = Client.of(job.connection)
    # A client of its own on the pool of the worker: closing the bus closes neither.
    client = sharing(connection)
    return Bus(client, name=process_name(), fences=_fences(job))


def _fences(job: Job) -> tuple[Fence, ...]:
    if not job.fence:  # no worker of ours runs the job, for example in a queue with is_async=False
        return ()
    return (Fence(rq_keys.job(job.id), "fence", job.fence, f"job {job.id} was stopped or cancelled, or another run has it"),)
