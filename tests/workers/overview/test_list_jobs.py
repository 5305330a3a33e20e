"""The first jobs in an order, and jobs by function and time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import notify
from tests.support.faults import commands_during
from tests.support.sample_jobs import add, add_with_svc, fail
from workers import Job, JobDefinitionError, Queue, find_jobs
from workers.overview import JobFilter, list_jobs, listing

NOW = datetime.now(UTC)


def put(bus: notify.Bus, queue: Queue, name: str, **fields: str) -> Job:
    """A job of that id with these fields."""
    job = queue.enqueue(add, job_id=name)
    bus.redis.hset(job.key, mapping=fields)
    return job


def at(seconds: float) -> str:
    """A time, that many seconds ago, as RQ writes it."""
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def ids(bus: notify.Bus, chosen: JobFilter | None = None, **how: Any) -> list[str]:
    return [listed.job.id for listed in list_jobs(bus.redis, chosen, **how).jobs]


def test_the_newest_jobs_come_first_whatever_their_queue_and_status(bus: notify.Bus, queue: Queue) -> None:
    made = [queue.enqueue(add), Queue("a", connection=bus.redis).enqueue(add), queue.enqueue(add, needs="nobody"), queue.enqueue(add)]
    newest_first = [job.id for job in reversed(made)]
    assert ids(bus) == newest_first
    assert ids(bus, reverse=True) == newest_first[::-1]
    assert ids(bus, limit=2) == newest_first[:2]
    assert ids(bus, JobFilter(queue="work", status="queued")) == [made[3].id, made[0].id]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("age", ["new", "middle", "old"]),
        ("started", ["old", "middle", "new"]),
        ("ended", ["middle", "new", "old"]),
        ("runtime", ["old", "middle", "new"]),
        ("status", ["middle", "new", "old"]),
    ],
)
def test_jobs_come_in_the_order_asked_for(bus: notify.Bus, queue: Queue, order: str, expected: list[str]) -> None:
    """Those without the time that is asked for come last."""
    put(bus, queue, "old", enqueued_at=at(300), started_at=at(50), status="started")
    put(bus, queue, "middle", enqueued_at=at(200), started_at=at(90), ended_at=at(80), status="failed")
    put(bus, queue, "new", enqueued_at=at(100))
    assert ids(bus, order=order) == expected


def test_jobs_are_ordered_by_the_names_of_queues_and_functions_and_then_by_age(bus: notify.Bus, queue: Queue) -> None:
    other = Queue("another", connection=bus.redis)
    first, second, third = queue.enqueue(fail), other.enqueue(fail), queue.enqueue(add)
    assert ids(bus, order="queue") == [second.id, third.id, first.id]
    assert ids(bus, order="function") == [third.id, second.id, first.id]
    assert ids(bus, order="function", reverse=True) == [second.id, first.id, third.id]


@pytest.mark.parametrize(
    ("function", "found"),
    [("tests.support.sample_jobs.add", 2), ("add", 2), ("a*", 3), ("tests.*", 4), ("*.fail", 1), ("ad", 0), ("fail ", 0), ("A*", 0)],
)
def test_jobs_are_found_by_their_function_or_a_pattern_of_it(bus: notify.Bus, queue: Queue, function: str, found: int) -> None:
    for called in (add, add, fail, add_with_svc):
        queue.enqueue(called)
    assert len(ids(bus, JobFilter(function=function))) == found
    assert len(list(find_jobs(bus.redis, function=function))) == found


def test_jobs_are_found_by_what_happened_to_them_since_a_time(bus: notify.Bus, queue: Queue) -> None:
    put(bus, queue, "old", created_at=at(7200), enqueued_at=at(7200))
    put(bus, queue, "ended", created_at=at(7200), enqueued_at=at(7200), started_at=at(60), ended_at=at(30))
    put(bus, queue, "new", created_at=at(10), enqueued_at=at(10))
    assert ids(bus, JobFilter(since=NOW - timedelta(hours=1))) == ["new", "ended"]
    assert ids(bus, JobFilter(since=NOW - timedelta(seconds=20))) == ["new"]
    assert ids(bus, JobFilter(since=(NOW - timedelta(seconds=20)).astimezone().replace(tzinfo=None))) == ["new"]  # local time
    assert [job.id for job in find_jobs(bus.redis, since=NOW)] == []


def test_a_held_job_is_told_from_a_deferred_one_without_asking_again(bus: notify.Bus, queue: Queue) -> None:
    held = queue.enqueue(add_with_svc, on_loss="hold")
    deferred = queue.enqueue(add, depends_on=queue.enqueue(add))
    commands = commands_during(bus.redis, lambda: list_jobs(bus.redis, JobFilter(queue="work")))
    assert {listed.job.id: listed.status for listed in list_jobs(bus.redis).jobs}[held.id] == "held"
    assert ids(bus, JobFilter(status="held")) == [held.id]
    assert ids(bus, JobFilter(status="deferred")) == [deferred.id]
    assert len(commands) <= 2 + 8 + 2 + 3  # names of queues and of rate limits, sizes, pages, jobs


def test_of_very_many_jobs_only_the_newest_are_looked_at(bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each queue and registry has its turn, so that a long one does not hide the others."""
    monkeypatch.setattr(listing, "CHUNK", 5)
    made = [job.id for job in queue.enqueue_many([Queue.prepare_data(add) for _ in range(60)])]
    few = [queue.enqueue(add, needs="nobody").id for _ in range(3)]
    found = list_jobs(bus.redis, limit=10, look_at=20)
    assert [listed.job.id for listed in found.jobs] == [*reversed(few), *reversed(made[-7:])]
    assert (found.matching, found.looked_at, found.of) == (20, 20, 63)
    found = list_jobs(bus.redis, JobFilter(function="add"), limit=100, look_at=20)
    assert (len(found.jobs), found.looked_at, found.of) == (63, 63, 63)
    queue.empty()


def test_of_very_many_queues_the_last_ones_are_looked_at_too(bus: notify.Bus) -> None:
    """Pages of 100 filled the number with the first of them: nobody saw a job that had failed."""
    made = {f"q{number:02}": [Queue(f"q{number:02}", connection=bus.redis).enqueue(add).id for _ in range(4)] for number in range(12)}
    found = list_jobs(bus.redis, limit=24, look_at=24)
    assert {listed.job.origin for listed in found.jobs} == set(made)
    assert (found.looked_at, found.of) == (24, 48)


def test_an_unknown_order_and_an_empty_function_are_errors(bus: notify.Bus, queue: Queue) -> None:
    with pytest.raises(JobDefinitionError, match="the order is 'size': choose one of age, started"):
        list_jobs(bus.redis, order="size")
    with pytest.raises(JobDefinitionError, match="function is empty"):
        list_jobs(bus.redis, JobFilter(function=""))
