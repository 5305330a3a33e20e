"""A recurring job that is paused passes its times over; by hand it runs at any time."""

import pytest

import notify
from tests.workers.schedule.test_cron import AT_FOUR, cron, times
from workers import JobNotFoundError, Queue
from workers.overview import cron_jobs
from workers.schedule import Cron, pause_cron, resume_cron, run_cron

__all__ = ["cron"]


def make_due(bus: notify.Bus) -> None:
    bus.redis.zadd(bus.keys.cron_due, {AT_FOUR: 1_000})


def test_a_paused_job_is_not_enqueued_and_its_times_pass(bus, cron: Cron):
    queue = Queue("work", connection=bus.redis)
    assert pause_cron(bus.redis, AT_FOUR)
    assert not pause_cron(bus.redis, AT_FOUR)
    make_due(bus)
    cron.run()
    assert not queue.count
    assert times(bus)[AT_FOUR] > 1_000
    assert {info.function for info in cron_jobs(bus.redis) if info.paused} == {AT_FOUR}
    assert resume_cron(bus.redis, AT_FOUR)
    assert not resume_cron(bus.redis, AT_FOUR)
    cron.run()
    assert not queue.count  # the time that passed is not made up for
    make_due(bus)
    cron.run()
    assert queue.count == 1


def test_a_recurring_job_runs_now_also_when_it_is_paused(bus, cron: Cron):
    pause_cron(bus.redis, AT_FOUR)
    before = times(bus)
    job = run_cron(bus.redis, AT_FOUR)
    assert Queue("work", connection=bus.redis).job_ids == [job.id]
    assert job.function_name == AT_FOUR
    assert times(bus) == before
    assert cron


@pytest.mark.parametrize("change", [pause_cron, resume_cron, run_cron])
def test_there_must_be_such_a_job(bus, change):
    with pytest.raises(JobNotFoundError, match="no recurring job 'nope'"):
        change(bus.redis, "nope")
