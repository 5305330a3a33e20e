"""What the keys do to a job or a service: first read what it would mean, then do it."""

from collections.abc import Callable, Sequence

import msgspec

from notify import Bus
from workers import Job, explain, preview_loss
from workers.overview import find_worker, stop_worker

__all__ = ["Action", "cancelling", "explaining", "killing", "stopping"]

REASON = "by notify top"


class Action(msgspec.Struct, frozen=True):
    """An action that is prepared.

    Args:
        lines: what it would do.
        act: does it, and returns what came of it; ``None`` if there are only the lines.
    """

    lines: Sequence[str]
    act: Callable[[], str] | None = None


def killing(bus: Bus, name: str) -> Action:
    """Prepare the kill of a service.

    Raises:
        NotifyError: there is no such service, or the server did not answer.
    """
    bus.directory.lookup(name, overdue=True)
    stakes = [
        f"  {stake.queue}: {stake.waiting} waiting, {stake.running} running: {stake.on_loss}" for stake in preview_loss(bus.redis, name)
    ]

    def act() -> str:
        return f"{name} killed ({bus.directory.kill(name, why=REASON)})"

    return Action([f"Kill the service {name}?", *(["Jobs that need it:", *stakes] if stakes else ["No job needs it."])], act)


def cancelling(bus: Bus, job_id: str) -> Action:
    """Prepare the cancel of a job.

    Raises:
        NotifyError: there is no such job, or the server did not answer.
    """
    job = Job.fetch(job_id, connection=bus.redis)
    outcome = job.outcome
    if outcome is not None:
        return Action([f"The job {job_id} has ended already: {outcome.status}."])
    what = "stop it: it runs" if job.started_at is not None and job.worker_name else "it never starts then"

    def act() -> str:
        ended = job.cancel(REASON)
        return f"job {job_id} is about to end: try again" if ended is None else f"job {job_id}: {ended.status}"

    return Action([f"Cancel the job {job_id}?", f"{job.function_name} on {job.origin} ({what})"], act)


def stopping(bus: Bus, name: str) -> Action:
    """Prepare the stop of a worker.

    Raises:
        NotifyError: there is no such worker, or the server did not answer.
    """
    worker = find_worker(bus.redis, name)
    job = f"It finishes job {worker.job} first." if worker.job else "It has no job in hand."

    def act() -> str:
        hears = stop_worker(bus.redis, worker.name)
        return f"worker {worker.name} is told to end" if hears else f"worker {worker.name} does not listen just now: try again"

    return Action([f"Stop the worker {worker.name}?", job, "What started it may start another one."], act)


def explaining(bus: Bus, job_id: str) -> Action:
    """Read why a job has its status. Errors as for `cancelling`."""
    return Action([explain(bus, Job.fetch(job_id, connection=bus.redis))])
