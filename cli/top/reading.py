"""Reads the pages: each call asks the server for what one page shows, and nothing else."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from cli.jobs.progress import text_of_progress
from cli.jobs.rows import row_of, span_of
from cli.top.page import Page, Row, sparkline
from notify import Bus, ServiceInfo
from notify.history import HistoryReader, PublishedEvents, topic_history
from workers import QueueInfo, WorkerInfo, find_workers
from workers import queues as all_queues
from workers.jobs import read_progress
from workers.overview import JobFilter, ListedJob, list_jobs
from workers.overview.history import histories_of_queues, job_history

__all__ = ["PAGES", "STATUSES", "Reader", "note_of"]

PAGES: Final = ("overview", "queues", "jobs", "services", "topics")
STATUSES: Final = ("", "queued", "started", "held", "failed", "scheduled", "deferred", "finished")
"""The jobs that the page of jobs shows, in turn; all first."""
ENDED_BADLY: Final = ("failed", "stopped", "canceled")
HOUR_S: Final = 3600.0
SHOWN_MINUTES: Final = 20
"""Minutes of the sparkline in a row."""
MOST_JOBS: Final = 100
LOOKED_AT: Final = 500
"""Jobs that are looked at for these; 3,000 would cost a fifth of a core."""


class Reader:
    """Reads pages from a bus. One thread at a time.

    Args:
        bus: the bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._history = HistoryReader(bus.redis)
        self._pages: Mapping[str, Callable[[int, str], Page]] = {
            "overview": self._overview,
            "queues": self._queues,
            "jobs": self._jobs,
            "services": self._services,
            "topics": self._topics,
        }

    def read(self, name: str, *, width: int, status: str = "") -> Page:
        """Return a page as it is now.

        Args:
            name: one of `PAGES`.
            width: of the terminal, in letters.
            status: the jobs to show; empty for all.

        Raises:
            ServerError: Redis did not answer, or refused.
        """
        return self._pages[name](width, status)

    def _overview(self, width: int, _status: str) -> Page:
        queues, workers = all_queues(self._bus.redis, exact=False), find_workers(self._bus.redis)
        services = self._found()
        history = self._history.read(since_s=HOUR_S)
        jobs, events = job_history(history), topic_history(history)
        bars = max(10, min(60, width - 34))
        rows = (
            ("ended", [point.ended for point in jobs]),
            ("failed", [point.failed for point in jobs]),
            ("events", [point.events for point in events]),
        )
        lines = [f"{name:7}{_last(numbers):>7}/min {sparkline(numbers, bars)}" for name, numbers in rows]
        waits = sum((point.wait for point in jobs[1:]), jobs[0].wait).percentile_s(95)
        runs = sum((point.work for point in jobs[1:]), jobs[0].work).percentile_s(95)
        lines.append(f"95 % of the jobs of this hour waited {_below(waits)}, and ran {_below(runs)}")
        lines += _counted(queues, workers, services)
        alarms = list(_alarms(queues, workers, services))
        lines += [f"! {alarm}" for alarm in alarms[:3]] + ([f"! and {len(alarms) - 3} more"] if len(alarms) > 3 else [])
        return Page(
            ("worker", "state", "function", "job", "memory", "done", "failed", "queues", "host"),
            [_worker(worker) for worker in workers],
            spare=("host", "queues", "done", "job", "failed", "memory"),
            lines=lines,
            empty="no worker runs: start one with notify worker",
        )

    def _queues(self, _width: int, _status: str) -> Page:
        history = histories_of_queues(self._history.read(since_s=SHOWN_MINUTES * 60))
        rows = []
        for queue in all_queues(self._bus.redis, exact=False):
            ended = [float(point.ended) for point in history.get(queue.queue, ())]
            rows.append(
                Row(
                    queue.queue,
                    {
                        "queue": queue.queue,
                        "queued": str(queue.queued),
                        "latency": span_of(queue.latency_s),
                        "started": str(queue.started),
                        "held": str(queue.held),
                        "scheduled": str(queue.scheduled),
                        "deferred": str(queue.deferred),
                        "failed": str(queue.failed),
                        "finished": str(queue.finished),
                        "workers": str(queue.workers),
                        "per min": f"{_last(ended)} {sparkline(ended, SHOWN_MINUTES)}",
                    },
                    "bad" if queue.queued and not queue.workers else "",
                )
            )
        return Page(
            ("queue", "queued", "latency", "started", "held", "scheduled", "deferred", "failed", "finished", "workers", "per min"),
            rows,
            spare=("finished", "deferred", "scheduled", "held", "started", "per min", "workers", "failed"),
            empty="no job was ever enqueued",
        )

    def _jobs(self, _width: int, status: str) -> Page:
        found = list_jobs(self._bus.redis, JobFilter(status=status or None), limit=MOST_JOBS, look_at=LOOKED_AT)
        now = datetime.now(UTC)
        number = found.matching if found.of <= found.looked_at else found.of  # of held or failed ones also those beside them
        more = f" ({len(found.jobs)} of the newest are shown)" if number > len(found.jobs) else ""
        return Page(
            ("id", "status", "age", "queue", "function", "note", "worker"),
            [_job(listed, now) for listed in found.jobs],
            spare=("worker", "queue", "age", "note"),
            lines=(f"{status or 'all'} jobs: {number:,}{more}",),
            empty="no such job",
        )

    def _services(self, _width: int, _status: str) -> Page:
        return Page(
            ("name", "state", "age", "last beat", "provides", "groups", "flaps", "host", "pid"),
            [_service(found) for found in self._found()],
            spare=("flaps", "groups", "host", "pid", "age", "provides"),
            empty="no service is registered",
        )

    def _topics(self, _width: int, _status: str) -> Page:
        published = PublishedEvents(self._history.read(since_s=SHOWN_MINUTES * 60), self._bus.settings)
        now = datetime.now(UTC)
        rows = []
        for topic in self._bus.traffic():
            cells = {
                "topic": topic.topic,
                "events": "" if topic.events is None else str(topic.events),
                "per s": f"{topic.per_s:.1f}",
                "log": str(topic.log_length),
                "subscribers": str(topic.subscribers),
                "last": "" if topic.last is None else span_of((now - topic.last).total_seconds()),
                "per min": sparkline(published.of(topic.topic), SHOWN_MINUTES),
            }
            rows.append(Row(topic.topic, cells))
        columns = ("topic", "events", "per s", "log", "subscribers", "last", "per min")
        return Page(columns, rows, spare=("log", "per min", "last", "events"), empty="nothing was ever published")

    def _found(self) -> Sequence[ServiceInfo]:
        return self._bus.directory.find_all(overdue=True)


def _worker(worker: WorkerInfo) -> Row:
    cells = {
        "worker": worker.name,
        "state": worker.state,
        "function": worker.function or "",
        "job": worker.job or "",
        "memory": "" if worker.memory_kib is None else f"{worker.memory_kib / 1024:.0f} MiB",
        "done": str(worker.done),
        "failed": str(worker.failed),
        "queues": ", ".join(worker.queues),
        "host": f"{worker.host}:{worker.pid}",
    }
    return Row(worker.name, cells, "bad" if worker.state == "lost" else "")


def _job(listed: ListedJob, now: datetime) -> Row:
    job = listed.job
    since = job.ended_at or job.started_at or job.enqueued_at or job.created_at
    cells = {
        "id": job.id,
        "status": listed.status,
        "age": "" if since is None else span_of((now - since.replace(tzinfo=since.tzinfo or UTC)).total_seconds()),
        "queue": job.origin,
        "function": job.function_name,
        "note": note_of(listed),
        "worker": job.worker_name or "",
    }
    return Row(job.id, cells, "bad" if listed.status == "failed" else "late" if listed.status == "held" else "")


def note_of(listed: ListedJob) -> str:
    """Return why a job ended, or how far a running one has come.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    if listed.status in ENDED_BADLY:
        return str(row_of(listed.job, listed.status)["why"])
    progress = read_progress(listed.job) if listed.status == "started" else None
    return listed.job.problem if progress is None else text_of_progress(progress)


def _service(found: ServiceInfo) -> Row:
    cells = {
        "name": found.name,
        "state": found.state,
        "age": span_of((found.last_beat - found.registered).total_seconds() + found.silent_s),
        "last beat": span_of(found.silent_s),
        "provides": ", ".join(sorted(found.provides)),
        "groups": ", ".join(sorted(found.groups)),
        "flaps": str(found.flaps),
        "host": found.host,
        "pid": str(found.pid),
    }
    return Row(found.name, cells, {"overdue": "bad", "suspect": "late"}.get(found.state, ""))


def _alarms(queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo], services: Sequence[ServiceInfo]) -> list[str]:
    """Return what somebody should look at, the worst first."""
    alarms = [
        f"{queue.queued} jobs wait on {queue.queue} for {span_of(queue.latency_s)}, and no worker listens"
        for queue in queues
        if queue.queued and not queue.workers
    ]
    alarms += [f"worker {worker.name} is lost" for worker in workers if worker.state == "lost"]
    alarms += [f"{found.name} is {found.state}" for found in services if found.state != "alive"]
    alarms += [f"{queue.held} jobs of {queue.queue} are held for a service" for queue in queues if queue.held]
    return alarms


def _counted(queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo], services: Sequence[ServiceInfo]) -> tuple[str, str]:
    sums = {name: sum(getattr(queue, name) for queue in queues) for name in ("queued", "started", "held", "failed")}
    latency_s = max((queue.latency_s for queue in queues if queue.latency_s is not None), default=None)
    oldest = "" if latency_s is None else f" (the oldest for {span_of(latency_s)})"
    jobs = ", ".join(f"{number} {name}{oldest if name == 'queued' else ''}" for name, number in sums.items())
    states = Counter(worker.state for worker in workers)
    return f"jobs: {jobs}", f"workers: {len(workers)} ({states['busy']} busy); services: {len(services)}"


def _last(numbers: Sequence[float]) -> str:
    """Return the number of the last whole minute; the present one goes on."""
    return f"{numbers[-2]:.0f}" if len(numbers) > 1 else "0"


def _below(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3g} s at most"
