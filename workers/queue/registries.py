"""RQ's registries of a queue, judged by the clock of the server instead of the clock of this host."""

import calendar
from datetime import datetime, timedelta
from typing import Any, Final

from notify.server import Client
from workers.queue.due import exact_time, server_time
from workers.rq import IntermediateQueue, ScheduledJobRegistry, StartedJobRegistry
from workers.scripts import RunScripts

__all__ = ["JustTakenJobs", "ScheduledJobs", "StartedJobs", "just_taken_jobs", "scheduled_jobs", "started_jobs"]

STUCK: Final = timedelta(minutes=1)
"""RQ's time after which a job that a worker of plain RQ took and never started counts as stuck."""


class StartedJobs(StartedJobRegistry):
    """The runs of a queue. A run whose worker has its lease is never taken for abandoned, whatever the clocks say."""

    def __init__(self, queue: Any) -> None:
        super().__init__(queue=queue, job_class=queue.job_class, serializer=queue.serializer)
        self._queue = queue

    def get_queue(self) -> Any:
        """Return the queue itself: RQ would make a queue of its own class, on which jobs are enqueued without their services."""
        return self._queue

    def cleanup(self, timestamp: float | None = None, exception_handlers: list[Any] | None = None) -> None:
        """Try again, or fail, the jobs of runs whose time was over at ``timestamp``; by default now, by the clock of the server."""
        if timestamp is None:
            timestamp = RunScripts(Client.of(self.connection)).keep_runs(self.name)
        with self._queue.due_times.counting_intervals():
            super().cleanup(timestamp, exception_handlers)


class ScheduledJobs(ScheduledJobRegistry):
    """The scheduled jobs of a queue."""

    def __init__(self, queue: Any) -> None:
        super().__init__(queue=queue, job_class=queue.job_class, serializer=queue.serializer)  # type: ignore[no-untyped-call]  # RQ's
        self.get_jobs_to_enqueue = self.get_expired_job_ids

    def schedule(self, job: Any, scheduled_datetime: datetime, pipeline: Any = None) -> Any:
        """Add a job. RQ would take a local time in winter for one in summer where the zone has both."""
        return super().schedule(job, exact_time(scheduled_datetime), pipeline)

    def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Return the ids of the jobs that are due at ``timestamp``; by default now, by the clock of the server."""
        now = calendar.timegm(server_time(Client.of(self.connection)).utctimetuple()) if timestamp is None else timestamp
        return list(super().get_expired_job_ids(now))


class JustTakenJobs(IntermediateQueue):
    """The jobs that workers of plain RQ have taken and not started yet."""

    def set_first_seen(self, job_id: str) -> bool:
        """Note when a job was first seen here, by the clock of the server. Returns false if that was noted before."""
        seen_at = server_time(Client.of(self.connection)).timestamp()
        return bool(self.connection.set(self.get_first_seen_key(job_id), seen_at, nx=True, ex=timedelta(days=1)))

    def should_be_cleaned_up(self, job_id: str) -> bool:
        """Return whether a job has been here for so long that its worker must be dead."""
        first_seen = self.get_first_seen(job_id)
        return first_seen is not None and server_time(Client.of(self.connection)) - first_seen > STUCK


def started_jobs(queue: Any) -> StartedJobs:
    """Return the registry of the runs of a queue."""
    return StartedJobs(queue)


def scheduled_jobs(queue: Any) -> ScheduledJobs:
    """Return the registry of the scheduled jobs of a queue."""
    return ScheduledJobs(queue)


def just_taken_jobs(queue: Any) -> JustTakenJobs:
    """Return RQ's intermediate queue of a queue."""
    return JustTakenJobs(queue.key, queue.connection)
