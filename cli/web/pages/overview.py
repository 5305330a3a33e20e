"""The view of everything: what needs a person first, and the numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from cli.web.pages.services import missing_in_words
from cli.web.plots import Line, Plot, plotted
from cli.web.render import span
from cli.web.view import FilterError, Look, View
from notify import Bus, ServerRefusedError, ServiceInfo
from notify.history import Step
from workers.overview import (
    CronInfo,
    HeldCount,
    QueueInfo,
    StuckJob,
    WorkerInfo,
    cron_jobs,
    find_workers,
    held_counts,
    job_history,
    queues,
    stuck_jobs,
)

__all__ = ["OVERVIEW", "Trouble", "troubles"]

MOST_STUCK: Final = 5
LOOKED_AT: Final = 200
"""Jobs of a queue that are looked at for those that will not start by themselves."""
FLAPS: Final = 3
"""A service that was suspected so often has a ttl that is too short, or a process that is too busy."""
RANGES: Final[Mapping[str, Step]] = {"1": "minute", "8": "minute", "72": "hour"}
"""Hours that the plots show, and the step of each."""
LATE_S: Final = 60.0
"""Seconds for which the oldest job of a queue has waited, above which the queue is worth a look."""


class Trouble(NamedTuple):
    """Something that needs a person.

    Args:
        level: ``bad``: it does not mend itself; ``warn``: it may.
        text: what is wrong.
        remedy: what to do.
        path, query: the view that shows it.
    """

    level: Literal["bad", "warn"]
    text: str
    remedy: str
    path: str
    query: Mapping[str, str] = {}


def build(look: Look) -> dict[str, Any]:
    """Read the overview."""
    bus, hours = look.bus, look.query.get("hours", "1")
    if hours not in RANGES:
        raise FilterError(f"hours is {hours[:20]!r}: choose {', '.join(RANGES)}")
    all_queues, workers = queues(bus.redis, exact=False), find_workers(bus.redis)
    services, crons = list(bus.directory.find_all(overdue=True)), cron_jobs(bus.redis)
    held = held_counts(bus.redis)
    found = [*troubles(bus, all_queues, workers, services, crons, held)]
    return {
        "troubles": sorted(found, key=lambda trouble: trouble.level),
        "queues": sorted(all_queues, key=lambda queue: -(queue.queued + queue.started)),
        "sums": {name: sum(getattr(queue, name) for queue in all_queues) for name in ("queued", "started", "held", "failed", "finished")},
        "latency_s": max((queue.latency_s for queue in all_queues if queue.latency_s is not None), default=None),
        "workers": workers,
        "busy": sum(worker.job is not None for worker in workers),
        "services": services,
        "alive": sum(service.state == "alive" for service in services),
        "crons": crons[:5],
        "server": _server(bus),
        "plots": _plots(look, hours),
        "hours": hours,
        "ranges": list(RANGES),
    }


def troubles(
    bus: Bus,
    all_queues: Sequence[QueueInfo],
    workers: Sequence[WorkerInfo],
    services: Sequence[ServiceInfo],
    crons: Sequence[CronInfo],
    held: Sequence[HeldCount],
) -> Iterator[Trouble]:
    """Yield what needs a person."""
    yield from _of_services(services, held)
    yield from _of_queues(all_queues)
    yield from (_stuck(each) for each in _first(stuck_jobs(bus.redis, most=LOOKED_AT), MOST_STUCK))
    for worker in workers:
        if worker.state == "lost":
            yield Trouble("bad", f"Worker {worker.name} does not renew its lease.", "Its job starts again on another one.", "/workers")
    for cron in crons:
        if cron.alarm is not None:
            text = f"No worker listens to queue {cron.queue} of the recurring job {cron.function}."
            yield Trouble("bad", text, f"Start one: notify worker {cron.queue}.", "/cron")
        elif not cron.workers:
            text = f"No worker has loaded the recurring job {cron.function}."
            yield Trouble("warn", text, "It is not enqueued before one has.", "/cron")


def _of_services(services: Sequence[ServiceInfo], held: Sequence[HeldCount]) -> Iterator[Trouble]:
    there = {
        name for service in services for name in (service.name, *(f"any {each}" for each in service.provides)) if not service.is_overdue
    }
    waiting: dict[str, int] = {}
    for count in held:
        waiting[count.need] = waiting.get(count.need, 0) + count.jobs
    for need, jobs in sorted(waiting.items(), key=lambda item: -item[1]):
        if need not in there:
            yield Trouble(
                "bad",
                missing_in_words(need, jobs),
                "Start it again; the jobs go on in their old order.",
                "/jobs",
                {"status": "held", "needs": need},
            )
    for service in services:
        path = f"/service/{service.name}"
        if service.is_overdue:
            yield Trouble("bad", f"Service {service.name} is silent for {span(service.silent_s)}.", "It is withdrawn soon.", path)
        elif service.state == "suspect":
            yield Trouble("warn", f"Service {service.name} is suspect: heartbeats are missing.", "Look at its process.", path)
        elif service.flaps >= FLAPS:
            text = f"Service {service.name} was suspected {service.flaps} times and came back."
            yield Trouble("warn", text, "Its ttl is too short, or its process too busy.", path)


def _of_queues(all_queues: Sequence[QueueInfo]) -> Iterator[Trouble]:
    for queue in all_queues:
        so_long = "" if queue.latency_s is None else f" for {span(queue.latency_s)}"
        waiting = f"{_jobs(queue.queued)} {'wait' if queue.queued != 1 else 'waits'}"
        if queue.paused:
            text = f"Queue {queue.queue} is paused{f', and {waiting} on it{so_long}' if queue.queued else ''}."
            yield Trouble("warn", text, "Resume it when its jobs may start.", "/queues")
        elif queue.queued and not queue.workers:
            text = f"{waiting} on queue {queue.queue}{so_long}, and no worker listens to it."
            yield Trouble("bad", text, f"Start one: notify worker {queue.queue}.", "/jobs", {"queue": queue.queue, "status": "queued"})
        elif queue.latency_s is not None and queue.latency_s > LATE_S:
            text = f"The oldest job on queue {queue.queue} has waited {span(queue.latency_s)}."
            yield Trouble("warn", text, "More workers would help.", "/jobs", {"queue": queue.queue, "status": "queued"})
        if queue.failed:
            text = f"{_jobs(queue.failed)} of queue {queue.queue} failed or {'were' if queue.failed != 1 else 'was'} stopped."
            yield Trouble("warn", text, "Look why, then retry or delete.", "/jobs", {"queue": queue.queue, "status": "failed"})


def _jobs(count: int) -> str:
    return f"{count:,} {'jobs' if count != 1 else 'job'}"


def _stuck(each: StuckJob) -> Trouble:
    text = f"Job {each.job.id} will not start by itself: {each.dependency}."
    return Trouble("bad", text, "Retry that one, or cancel this one.", f"/job/{each.job.id}")


def _first(stuck: Iterable[StuckJob], most: int) -> Iterator[StuckJob]:
    yield from (each for _, each in zip(range(most), stuck, strict=False))


def _plots(look: Look, hours: str) -> list[Plot]:
    step = RANGES[hours]
    points = job_history(look.history.read(since_s=float(hours) * 3600, step=step))
    if step == "minute":
        points = points[:-1]  # it goes on, and would look like a fall; an hour is too long to leave out
    moments = [point.at for point in points]
    ended = [
        Line("finished", "", [float(point.finished) for point in points]),
        Line("failed or stopped", "bad", [float(point.failed + point.stopped) for point in points]),
        Line("enqueued", "muted", [float(point.enqueued) for point in points]),
    ]
    times = [
        Line("waited (95th percentile)", "", [point.wait.percentile_s(95) for point in points]),
        Line("ran (mean)", "muted", [point.work.mean_s for point in points]),
    ]
    return [
        plotted(f"Jobs per {step}{', the last one so far' if step == 'hour' else ''}", ended, moments),
        plotted("Time of jobs", times, moments, in_seconds=True),
    ]


def _server(bus: Bus) -> dict[str, Any]:
    """Return what Redis says about itself; nothing if the user may not ask."""
    try:
        with bus.redis.translating("asking Redis about itself"):
            info: Any = bus.redis.info()
    except ServerRefusedError:
        return {}
    most = info.get("maxmemory") or 0
    return {
        "name": "Valkey" if "valkey_version" in info else "Redis",
        "version": info.get("valkey_version") or info.get("redis_version", "?"),
        "memory_kib": info.get("used_memory", 0) / 1024,
        "maxmemory_kib": most / 1024 if most else None,
        "clients": info.get("connected_clients"),
        "commands_per_s": info.get("instantaneous_ops_per_sec"),
        "uptime_s": info.get("uptime_in_seconds"),
    }


OVERVIEW: Final = View("overview", "/", "Overview", "overview", build, ("hours",))
