"""Recurring jobs come on time, do not pile up, and an alarm says when nobody would run them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.cron_jobs import at_four
from tests.support.faults import server_ms
from tests.workers.conftest import Effects, StartWorkers
from tests.workers.fleet.test_leader import renew
from tests.workers.schedule.test_cron import AT_FOUR, listen, load, make_due, may_overlap, times
from workers import Job, JobDefinitionError, Queue, cron_jobs, job, rq_keys
from workers.jobs.definition import definition_of
from workers.jobs.schedule import Schedule
from workers.schedule.cron import LONGEST_WAIT_MS, Cron

QUICK = "tests.support.quick_jobs"


@pytest.fixture
def cron(bus: notify.Bus) -> Cron:
    renew(bus, "w", lease_ms=60_000)
    load(bus, "w", at_four)
    listen(bus, "w", "work")
    return Cron(bus.redis)


@pytest.fixture
def events(bus: notify.Bus) -> Iterator[notify.Subscriber]:
    with bus.subscribe("cron") as events:
        yield events


def enqueue_at_four(bus: notify.Bus, cron: Cron, *, ago_ms: int) -> str:
    """Have the job be due, and return the id that it gets."""
    due = make_due(bus, ago_ms=ago_ms)
    cron.run()
    return f"tests-support-cron_jobs-at_four-{due}"


@pytest.mark.any_server
def test_jobs_with_short_intervals_come_at_each_of_their_times(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    """They came every five seconds, the longest pause of the leader. The worker that leads has not loaded them."""
    start_workers(queues=("another",))
    wait_until(lambda: bus.redis.exists(bus.keys.leader), timeout_s=15)
    start_workers(modules=(QUICK,))
    effects.wait_for("cron", 2)
    effects.wait_for("every", 4)
    ran: Any = bus.redis.hgetall("rq:test:effects")
    for function, step_ms in (("often", 500), ("each_second", 1_000)):
        at = sorted(int(name.rpartition(b"-")[2]) for name in ran if function.encode() in name)
        assert [after - before for before, after in pairwise(at)] == [step_ms] * (len(at) - 1)


def test_the_wait_ends_at_the_next_time_of_the_job_that_was_just_enqueued(bus: notify.Bus, cron: Cron) -> None:
    """Twin: the next time of any other job, which the script knows, is five seconds away or more."""
    encoded: Any = bus.redis.hget(bus.keys.cron, AT_FOUR)
    bus.redis.hset(bus.keys.cron, AT_FOUR, encoded.replace(b'"0 4 * * *"', b'"* * * * * *"'))
    make_due(bus)
    due = cron._scripts.cron_due(longest_wait_ms=LONGEST_WAIT_MS)
    assert due.wait_ms == LONGEST_WAIT_MS
    assert 0 < cron.run() <= 1.0
    assert times(bus)[AT_FOUR] <= server_ms(bus.redis) + 1_000


def test_a_leader_asks_no_more_often_than_a_job_is_due(bus: notify.Bus, cron: Cron) -> None:
    """The next time is hours away: the wait is the longest one."""
    assert cron.run() == pytest.approx(LONGEST_WAIT_MS / 1000, abs=0.2)


def test_a_time_is_skipped_while_the_job_before_it_still_waits(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    first = enqueue_at_four(bus, cron, ago_ms=3_000)
    enqueue_at_four(bus, cron, ago_ms=2_000)
    assert queue.job_ids == [first]
    assert times(bus)[AT_FOUR] == Schedule(cron="0 4 * * *").next_after(server_ms(bus.redis))
    bus.redis.lrem(queue.key, 1, first)
    bus.redis.hset(rq_keys.job(first), "status", "started")  # one that runs does not count
    last = enqueue_at_four(bus, cron, ago_ms=1_000)
    assert queue.job_ids == [last]


def test_one_that_is_held_waits_as_well(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    first = enqueue_at_four(bus, cron, ago_ms=3_000)
    bus.redis.lrem(queue.key, 1, first)
    bus.redis.hset(rq_keys.job(first), mapping={"status": "deferred", "held": "svc"})
    enqueue_at_four(bus, cron, ago_ms=2_000)
    assert queue.job_ids == []


def test_with_queue_every_time_is_enqueued(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    """As it was for all: the twin of the test that times are skipped."""
    may_overlap(bus, "queue")
    ids = [enqueue_at_four(bus, cron, ago_ms=ago_ms) for ago_ms in (3_000, 2_000)]
    assert queue.job_ids == ids


def test_with_replace_the_newest_time_waits_and_the_one_before_is_cancelled(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    may_overlap(bus, "replace")
    first, second = enqueue_at_four(bus, cron, ago_ms=3_000), enqueue_at_four(bus, cron, ago_ms=2_000)
    assert queue.job_ids == [second]
    outcome = Job.fetch(first, connection=bus.redis).outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.why and outcome.why.rule) == ("cancelled", f"replaced by job {second}", "overlap")


def test_a_job_is_not_enqueued_where_no_worker_listens_and_an_alarm_says_so(
    bus: notify.Bus, cron: Cron, queue: Queue, events: notify.Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    bus.redis.srem(rq_keys.workers("work"), rq_keys.worker("w"))
    listen(bus, "dead", "work")
    bus.redis.delete(rq_keys.worker("dead"))  # it died, and is still in the set
    before = datetime.fromtimestamp(server_ms(bus.redis) / 1000, UTC)
    due = [make_due(bus, ago_ms=3_000)]
    cron.run()
    make_due(bus, ago_ms=2_000)
    cron.run()
    assert queue.job_ids == []
    (listed,) = cron_jobs(bus.redis)
    assert listed.alarm is not None
    assert (listed.listening, listed.alarm >= before) == (0, True)
    listen(bus, "w", "work")
    due.append(make_due(bus, ago_ms=1_000))
    cron.run()
    assert len(queue.job_ids) == 1
    (listed,) = cron_jobs(bus.redis)
    assert (listed.listening, listed.alarm) == (1, None)
    contents = [
        {"change": change, "function": AT_FOUR, "queue": "work", "due_ms": at}
        for change, at in zip(("unserved", "served"), due, strict=True)
    ]
    assert [event.contents for event in iter(lambda: events.get(0.2), None)] == contents
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"the recurring job '{AT_FOUR}' is due, and no worker listens to its queue 'work': start one with notify worker work"
    ]


def test_new_recurring_jobs_are_told_once(bus: notify.Bus, events: notify.Subscriber) -> None:
    load(bus, "w", at_four)
    load(bus, "v", at_four)
    assert [event.contents for event in iter(lambda: events.get(0.2), None)] == [
        {"change": "registered", "worker": "w", "functions": [AT_FOUR]}
    ]


def test_overlap_is_one_of_three_words_and_needs_a_schedule() -> None:
    for overlap in ("skip", "queue", "replace"):
        definition = definition_of(job("q", every_s=1, overlap=overlap)(nothing))
        assert definition is not None
        assert definition.overlap == overlap
    for options in ({"every_s": 1, "overlap": "both"}, {"overlap": "skip"}):
        with pytest.raises(JobDefinitionError, match="overlap"):
            job("q", **options)  # type: ignore[arg-type]  # as above


def nothing() -> None: ...
