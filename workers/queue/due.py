"""The due time of a scheduled job: an interval counts from the server's time, a local time is read by the rule of its zone at that date."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.rq import JobStatus

__all__ = ["DueTimes", "exact_time", "put_on_schedule", "server_time"]


class DueTimes:
    """Tells the due times of one queue.

    Args:
        client: the client of the queue, whose server's clock counts.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._are_intervals = False

    @contextmanager
    def counting_intervals(self) -> Iterator[None]:
        """Take every time that is passed to `of` in the block for the end of an interval that begins now, by the clock of this host.

        RQ's code computes the times of retries and repeats so. The clock of this host may be wrong, and RQ's local times are an hour
        off where the zone has daylight saving time that is not in force.
        """
        before, self._are_intervals = self._are_intervals, True
        try:
            yield
        finally:
            self._are_intervals = before

    def of(self, when: Any) -> datetime:
        """Return when a job is due that RQ's code, or a user, schedules for a time. Errors as for `exact_time`."""
        if self._are_intervals:
            return self.after(when - datetime.now(when.tzinfo))
        return exact_time(when)

    def after(self, interval: timedelta) -> datetime:
        """Return the time after an interval, by the clock of the server. Raises `OverflowError` if there is no such time."""
        return server_time(self._client) + interval


def exact_time(when: Any) -> datetime:
    """Return a time as an aware one. A time without a zone is the local one of this host, by the rule of its zone at that date.

    Where clocks are put back, an hour occurs twice: ``fold`` says which is meant, by default the first.

    Raises:
        JobDefinitionError: it is no ``datetime``, or out of the range of times.
    """
    if not isinstance(when, datetime):
        raise JobDefinitionError(f"a job cannot be scheduled for {when!r}: give a datetime; enqueue_in takes a timedelta")
    try:
        return when.astimezone(UTC)
    except (OverflowError, ValueError, OSError) as exc:
        raise JobDefinitionError(f"a job cannot be scheduled for {when!r}, which is no time that this machine can tell: {exc}") from exc


def server_time(client: Client) -> datetime:
    """Return the time of the server's clock."""
    now: Any = client.time()
    return datetime.fromtimestamp(now[0], UTC) + timedelta(microseconds=now[1])


def put_on_schedule(queue: Any, job: Any, due: datetime, pipeline: Any = None) -> None:
    """Schedule a job as ``rq.Queue.schedule_job``, but to the millisecond, and wholly in the transaction of the pipeline."""
    pipe = pipeline if pipeline is not None else queue.connection.pipeline()
    pipe.sadd(rq_keys.QUEUES, queue.key)
    queue._persist_job(job, pipe, status=JobStatus.SCHEDULED)
    pipe.zadd(rq_keys.scheduled(queue.name), {job.id: round(due.timestamp(), 3)})
    if pipeline is None:
        pipe.execute()
