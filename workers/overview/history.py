"""The history of jobs: how many there were of each kind, how long they waited and how long they ran, by the minute or the hour."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
import redis

from notify.history import Histogram, History, Step, Tally, Words, read_history, tallies, tally_of_all

__all__ = ["JobPoint", "histories_of_functions", "histories_of_queues", "job_history"]

COUNTED: Final = ("enqueued", "started", "finished", "failed", "stopped", "retried", "cancelled", "held", "released")


class JobPoint(msgspec.Struct, frozen=True):
    """The jobs of one minute or hour.

    Args:
        at: when it began, by the server's clock.
        enqueued: jobs that were put on a queue; also again, by a requeue or because they were due.
        started: runs that began. A job that a worker claims ahead counts when it is claimed.
        finished, failed, stopped: runs that ended so for good.
        retried: runs that failed and are tried again.
        cancelled: jobs that were cancelled before they ran.
        held, released: jobs that were held for a service, and put back when it was there.
        work: how long the runs took that ended, in whatever way.
        wait: how long the jobs had waited on their queue when they started.
    """

    at: datetime
    enqueued: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    stopped: int = 0
    retried: int = 0
    cancelled: int = 0
    held: int = 0
    released: int = 0
    work: Histogram = Histogram()
    wait: Histogram = Histogram()

    def __add__(self, other: "JobPoint") -> "JobPoint":
        """Return the two together, with the earlier beginning."""
        numbers = {name: getattr(self, name) + getattr(other, name) for name in (*COUNTED, "work", "wait")}
        return JobPoint(min(self.at, other.at), **numbers)

    @property
    def ended(self) -> int:
        """Runs that ended for good."""
        return self.finished + self.failed + self.stopped


def job_history(
    source: redis.Redis | History,
    *,
    since_s: float = 3600.0,
    step: Step = "minute",
    queue: str | None = None,
    function: str | None = None,
) -> tuple[JobPoint, ...]:
    """Return a point for each minute or hour, from the oldest to the present one, which goes on; also where there were no jobs.

    Args:
        source: ``bus.redis``; or a history that was read before, for several views of the same numbers.
        since_s: seconds before now with which to begin, if the source is a connection.
        step: ``minute`` or ``hour``, if the source is a connection.
        queue: the jobs of this queue only.
        function: the jobs of this function only, by its dotted path.

    Raises:
        SettingsError: ``since_s`` is no positive number, or is above a month.
        ServerError: Redis did not answer, or refused.
    """
    history = source if isinstance(source, History) else read_history(source, since_s=since_s, step=step)
    return _points(history, tally_of_all(history, "job", queue, function))


def histories_of_queues(history: History) -> dict[str, tuple[JobPoint, ...]]:
    """Return the history of the jobs of each queue, by its name."""
    return {queue: _points(history, row) for queue, row in sorted(tallies(history, "job", 2, lambda names: names[0]).items())}


def histories_of_functions(history: History) -> dict[tuple[str, str], tuple[JobPoint, ...]]:
    """Return the history of the jobs of each function, by its queue and its dotted path."""
    return {pair: _points(history, row) for pair, row in sorted(tallies(history, "job", 2, _pair).items())}


def _pair(names: Words) -> tuple[str, str]:
    return names[0], names[1]


def _points(history: History, row: Iterable[Tally]) -> tuple[JobPoint, ...]:
    return tuple(_point(moment.at, tally) for moment, tally in zip(history.moments, row, strict=True))


def _point(at: datetime, tally: Tally) -> JobPoint:
    numbers = {name: tally.number(name) for name in COUNTED}
    numbers["started"] = max(0, numbers["started"] - tally.number("given_back"))
    return JobPoint(at, **numbers, work=tally.histogram("work"), wait=tally.histogram("wait"))
