"""The list of recurring jobs."""

from datetime import UTC, datetime

import notify
from notify.testing import wait_until
from tests.workers.conftest import StartWorkers
from tests.workers.fleet.test_leader import leave, renew
from tests.workers.schedule.test_cron import AT_FOUR, NIGHTLY, at_four, listen, load, make_due, with_a_service
from workers import CronInfo, cron_jobs
from workers.schedule.cron import Cron


def test_a_recurring_job_has_queue_schedule_times_and_workers(bus: notify.Bus) -> None:
    for worker in ("one", "two", "gone"):
        renew(bus, worker, lease_ms=60_000)
        load(bus, worker, at_four)
    leave(bus, "gone")
    renew(bus, "three", lease_ms=60_000)
    load(bus, "three", with_a_service)
    due = make_due(bus)
    listen(bus, "two", "work")
    Cron(bus.redis).run()
    first, second = cron_jobs(bus.redis)
    assert second == CronInfo(NIGHTLY, "nightly", "30 4 * * *", second.next, None, 1, listening=0)
    due_at = datetime.fromtimestamp(due / 1000, UTC)
    assert first == CronInfo(AT_FOUR, "work", "0 4 * * *", first.next, due_at, 2, listening=1)
    assert [(each.next.hour, each.next.minute) for each in (first, second)] == [(4, 0), (4, 30)]


def test_an_unreadable_recurring_job_says_so(bus: notify.Bus) -> None:
    renew(bus, "one", lease_ms=60_000)
    load(bus, "one", at_four, with_a_service)
    bus.redis.hset(bus.keys.cron, NIGHTLY, "no JSON")
    bus.redis.hset(bus.keys.cron_workers, "one", "none either")
    found = {each.function: (each.schedule, each.workers) for each in cron_jobs(bus.redis)}
    assert found == {AT_FOUR: ("0 4 * * *", 0), NIGHTLY: ("cannot be read", 0)}


def test_without_registered_jobs_the_list_is_empty(bus: notify.Bus, start_workers: StartWorkers) -> None:
    start_workers()
    wait_until(lambda: bus.redis.exists(bus.keys.leader), timeout_s=15)
    assert cron_jobs(bus.redis) == []
