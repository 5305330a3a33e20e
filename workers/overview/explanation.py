"""The function `explain`: says in words in which state a job is, and why."""

from datetime import UTC, datetime
from typing import Any

from notify.bus import Bus
from notify.directory import Provider, ServiceInfo
from workers import rq_keys
from workers.jobs import Job, Outcome, target_of
from workers.overview.dependencies import blocking_one, dependencies_of
from workers.rq import JobStatus

__all__ = ["explain"]


def explain(bus: Bus, job: Job) -> str:
    """Return a paragraph that says what the job calls, in which state it is and why, and what would change that.

    Args:
        bus: the bus of the job.
        job: the job; its state is read again.

    Raises:
        JobNotFoundError: the job no longer exists: its time to live is over.
    """
    outcome = job.outcome
    status = job.get_status()
    sentences = [_call(job), _end(job, outcome) if outcome is not None else _state(bus, job, status)]
    if job.problem and outcome is None:
        sentences.append(f"No worker of Notify can run it: {job.problem}.")
    if job.needs:
        sentences.append(_needs(bus, job, ended=outcome is not None))
    return " ".join(sentences)


def _call(job: Job) -> str:
    return f"Job {job.id} calls {job.function_name} on queue {job.origin!r}, enqueued {_time(job.enqueued_at or job.created_at)}."


def _end(job: Job, outcome: Outcome) -> str:
    verb = outcome.status if outcome.status in ("finished", "failed") else f"was {outcome.status}"
    ran = f" after it ran {_seconds(job)}" if job.started_at and job.ended_at else ""
    why = f": {outcome.reason}" if outcome.reason not in ("", outcome.status) else ""
    return f"It {verb}{ran}{why}."


def _state(bus: Bus, job: Job, status: JobStatus | None) -> str:
    if status == JobStatus.STARTED:
        return f"It runs on worker {job.worker_name} since {_time(job.started_at)}."
    held = job.held
    if held is not None and _is_met(bus, held):
        return f"It is held: {held} is back, and held jobs return to the queue a few at a time, in their old order."
    if held is not None:
        return f"It is held: {held} is {_presence(bus, held, gone='not there')}. {_until(bus, job, held)}"
    if status == JobStatus.DEFERRED:
        return _dependencies(bus, job)
    if status == JobStatus.SCHEDULED:
        return "It waits for its time; a scheduler puts it on the queue then."
    if status is not None and status.value == "ready_to_enqueue":
        return "The jobs that it depends on have ended; RQ is about to put it on the queue."
    if status is not None and status.value == "rate_limited":
        return "It waits for a place within its rate limit; the end of a job before it makes room."
    with bus.redis.translating(f"explaining job {job.id}"):
        place: Any = bus.redis.lpos(rq_keys.queue(job.origin), job.id)
        workers: Any = bus.redis.scard(rq_keys.workers(job.origin))
        is_paused = bus.redis.sismember(bus.keys.paused, job.origin)
    listening = f"{workers} workers listen" if workers != 1 else "one worker listens"
    if is_paused:
        return f"It waits, and its queue is paused: notify queues resume {job.origin} lets its jobs start."
    if not workers:
        return f"It waits, and no worker listens to its queue: start one with notify worker {job.origin}."
    if place is None:
        return f"A worker has just taken it ({listening})."
    blocking = None if job.on_loss == "ignore" else next(filter(None, (_overdue(bus, need) for need in sorted(job.needs))), None)
    if blocking is not None:
        return f"It is number {place + 1} in the queue, and waits for a heartbeat of {blocking.name} or for its withdrawal; {listening}."
    return f"It is number {place + 1} in the queue; {listening}."


def _dependencies(bus: Bus, job: Job) -> str:
    found = dependencies_of(bus.redis, job)
    listed = ", ".join(f"{each.job_id} ({each.status or 'gone'})" for each in found)
    blocking = blocking_one(job, found)
    if blocking is None:
        return f"It waits for the jobs that it depends on: {listed}."
    remedy = f"try that job again (notify job retry {blocking.job_id}), or cancel this one" if blocking.status else "cancel this one"
    return f"It will not start by itself: {blocking}. It depends on {listed}: {remedy}."


def _needs(bus: Bus, job: Job, *, ended: bool) -> str:
    listed = ", ".join(f"{need} ({_presence(bus, need)})" for need in sorted(job.needs))
    if ended:
        return f"It needed {listed}."
    rule = {
        "cancel": "it is cancelled, or stopped if it runs, when one of them is withdrawn",
        "hold": "it is held, or stopped and held if it runs, when one of them is withdrawn, and returns to the queue when that is back",
        "drain": "it is cancelled while it waits when one of them is withdrawn; once it runs it may finish",
        "ignore": "their loss has no effect on it",
    }[job.on_loss]
    grace = f", unless it is back within {job.requirements.grace_s:g} s" if job.requirements.grace_s else ""
    return f"It needs {listed}; {rule}{grace}."


def _is_met(bus: Bus, need: str) -> bool:
    """Return whether the service is there or, for ``any <capability>``, a service that has the capability."""
    return any(not service.is_overdue for service in _meeting(bus, need))


def _overdue(bus: Bus, need: str) -> ServiceInfo | None:
    """Return a service that is overdue, if that keeps the need from being met or lost."""
    services = _meeting(bus, need)
    return services[0] if services and all(service.is_overdue for service in services) else None


def _presence(bus: Bus, need: str, *, gone: str = "gone") -> str:
    if _is_met(bus, need):
        return "alive"
    overdue = _overdue(bus, need)
    return gone if overdue is None else f"overdue: {overdue.name} is silent for {overdue.silent_s:.0f} s, its ttl is {overdue.ttl_s:g} s"


def _meeting(bus: Bus, need: str) -> list[ServiceInfo]:
    target = target_of(need)
    if isinstance(target, Provider):
        return bus.directory.find_all(provides=target.capability, overdue=True)
    service = bus.directory.lookup(target, overdue=True, default=None)
    return [] if service is None else [service]


def _until(bus: Bus, job: Job, held: str) -> str:
    with bus.redis.translating(f"explaining job {job.id}"):
        until_ms: Any = bus.redis.zscore(bus.keys.holds, job.id)
    if until_ms is None:
        return f"It returns to the queue as soon as {held} is back."
    return f"It returns to the queue if {held} is back by {_time(datetime.fromtimestamp(until_ms / 1000, UTC))}; else it is cancelled."


def _seconds(job: Job) -> str:
    assert job.started_at is not None and job.ended_at is not None  # noqa: S101  # the caller has checked
    return f"{(job.ended_at - job.started_at).total_seconds():.3g} s"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment is not None else "at an unknown time"
