"""When scheduled jobs are due: by the server's clock, and for local times by the rule of the zone at that date."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rq
from rq import Repeat, Retry
from rq.registry import ScheduledJobRegistry

import notify
from tests.support.faults import server_ms
from tests.support.sample_jobs import add, try_again_in
from tests.support.skewed_clock import skewed
from tests.workers.conftest import StartWorkers
from workers import Job, JobDefinitionError, Queue, rq_keys
from workers.rq import IS_RQ_3

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
"""The rule of a zone with daylight saving time, as the system reads it without any file."""
AHEAD_S = pytest.mark.parametrize("ahead_s", [-120.0, 120.0])


def not_on_now() -> str:
    """A zone that has daylight saving time, which is not in force now: around the middle of the year, or else around its end."""
    begins, ends = (170, 195) if not 91 < time.gmtime().tm_yday < 273 else (355, 10)
    return f"AAA0BBB,J{begins}/0,J{ends}/0"


@pytest.fixture
def set_zone() -> Iterator[Callable[[str], None]]:
    """Set the zone of this process."""
    before = os.environ.get("TZ")

    def set_it(zone: str) -> None:
        os.environ["TZ"] = zone
        time.tzset()

    yield set_it
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def due_s(job: Job) -> float:
    """When a scheduled job is due, in seconds since the epoch."""
    score: Any = job.connection.zscore(rq_keys.scheduled("work"), job.id)
    return float(score)


def left_s(job: Job) -> float:
    """In how many seconds a scheduled job is due, by the clock of the server."""
    return due_s(job) - server_ms(job.connection) / 1000


def test_a_zone_in_which_daylight_saving_time_is_not_on_now(set_zone: Callable[[str], None]) -> None:
    set_zone(not_on_now())
    assert (time.daylight, time.localtime().tm_isdst, time.altzone - time.timezone) == (1, 0, -3600)


@pytest.mark.parametrize(
    ("local", "utc_hour"),
    [
        (datetime(2031, 1, 15, 12), 11),
        (datetime(2031, 7, 15, 12), 10),
        (datetime(2031, 10, 26, 1, 59), 23),
        (datetime(2031, 10, 26, 2, 30), 0),
        (datetime(2031, 10, 26, 2, 30, fold=1), 1),
        (datetime(2031, 10, 26, 3), 2),
        (datetime(2031, 3, 30, 1, 59), 0),
        (datetime(2031, 3, 30, 3), 1),
        (datetime(2031, 7, 15, 12, tzinfo=UTC), 12),
        (datetime(2031, 1, 15, 12, tzinfo=timezone(timedelta(hours=-5))), 17),
    ],
)
def test_a_local_time_is_read_by_the_rule_of_its_zone_at_that_date(
    queue: Queue, set_zone: Callable[[str], None], local: datetime, utc_hour: int
) -> None:
    set_zone(BERLIN)
    scheduled = queue.enqueue_at(local, add), queue.enqueue(add)
    queue.schedule_job(scheduled[1], local)
    queue.scheduled_job_registry.schedule(registered := queue.create_job(add), local)
    for job in (*scheduled, registered):
        at = datetime.fromtimestamp(due_s(job), UTC)
        assert (at.hour, at.minute) == (utc_hour, local.minute)


@pytest.mark.skipif(IS_RQ_3, reason="RQ 3 mended it")
def test_rq_takes_winter_for_summer_where_the_zone_has_both(queue: Queue, set_zone: Callable[[str], None]) -> None:
    """The twin: RQ's registry alone."""
    set_zone(BERLIN)
    ScheduledJobRegistry(queue=queue).schedule(job := queue.create_job(add), datetime(2031, 1, 15, 12))
    assert datetime.fromtimestamp(due_s(job), UTC).hour == 10


def test_a_time_is_exact_to_the_millisecond(queue: Queue) -> None:
    at = datetime(2031, 1, 15, 12, 0, 0, 750_400, tzinfo=UTC)
    assert due_s(queue.enqueue_at(at, add)) == round(at.timestamp(), 3)


@pytest.mark.parametrize("when", ["tomorrow", 5, timedelta(1), None, datetime.max], ids=str)
def test_what_is_no_time_is_refused_and_nothing_is_scheduled(queue: Queue, when: Any, set_zone: Callable[[str], None]) -> None:
    set_zone("XXX12")
    with pytest.raises(JobDefinitionError):
        queue.enqueue_at(when, add)
    assert queue.scheduled_job_registry.get_job_ids() == []


@AHEAD_S
def test_an_interval_counts_from_the_time_of_the_server(queue: Queue, ahead_s: float) -> None:
    with skewed(ahead_s):
        assert abs(datetime.now(UTC).timestamp() - server_ms(queue.connection) / 1000) < 5  # this module keeps its own clock
        job = queue.enqueue_in(timedelta(seconds=60), add)
    assert 58 < left_s(job) <= 60


@AHEAD_S
def test_plain_rq_counts_an_interval_from_the_clock_of_its_host(queue: Queue, ahead_s: float) -> None:
    """The twin: the same call of RQ's queue."""
    plain = rq.Queue("work", connection=queue.connection)
    with skewed(ahead_s):
        job: Any = plain.enqueue_in(timedelta(seconds=60), print)
    assert abs(left_s(job) - 60 - ahead_s) < 5


@AHEAD_S
def test_retries_and_repeats_count_from_the_time_of_the_server(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, ahead_s: float
) -> None:
    """Real workers whose clock is wrong, in a zone that has daylight saving time, which is not on now."""
    jobs = [
        queue.enqueue("tests.support.sample_jobs.fail", retry=Retry(max=1, interval=600)),
        queue.enqueue(try_again_in, 600),
        queue.enqueue(add, repeat=Repeat(times=3, interval=600)),
    ]
    start_workers(ahead_s=ahead_s, zone=not_on_now(), burst=True)
    for job in jobs:
        notify.testing.wait_until(lambda job=job: bus.redis.zscore(rq_keys.scheduled("work"), job.id), timeout_s=15)  # type: ignore[misc]  # mypy does not infer it
        assert 590 < left_s(job) <= 600
