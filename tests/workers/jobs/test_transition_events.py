"""Every transition of a job is published on the topic of its queue, whoever makes it: our scripts, RQ's code, or the reaper."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rq import Retry

import notify
from notify.settings import JOB_EVENTS
from notify.testing import wait_until
from tests.support import progress_jobs
from tests.support.progress_jobs import walk_on
from tests.support.sample_jobs import add, add_with_svc, fail, hold
from tests.workers.conftest import Effects, StartWorkers, claim_next
from workers import Job, Queue, requeue
from workers.fleet.reaper import Reaper
from workers.loss.held import HeldJobs
from workers.scripts import RecordScripts


class Life:
    """The jobs of a test, and their events so far."""

    def __init__(self, bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
        self.bus, self.queue, self.start_workers, self.effects = bus, queue, start_workers, effects

    def of(self, job: Job) -> list[str]:
        return [event["status"] for event in self.events(job)]

    def events(self, job: Job) -> list[dict[str, Any]]:
        with self.bus.subscribe("job.work", since="start") as events:
            found: list[Any] = list(iter(lambda: events.get(0.05), None))
        return [event.contents for event in found if event.contents["job"] == job.id]


@pytest.fixture
def life(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> Life:
    return Life(bus, queue, start_workers, effects)


def finishes(life: Life) -> Job:
    job = life.queue.enqueue(add)
    life.start_workers()
    assert job.wait(15)
    return job


def fails(life: Life) -> Job:
    job = life.queue.enqueue(fail)
    life.start_workers()
    assert job.wait(15)
    return job


def fails_and_is_put_back(life: Life) -> Job:
    job = fails(life)
    requeue(life.bus.redis, job.id)
    wait_until(lambda: life.of(job).count("failed") == 2, timeout_s=15)
    return job


def fails_and_is_put_back_by_rq(life: Life) -> Job:
    job = fails(life)
    Job.fetch(job.id, connection=life.bus.redis).requeue()
    wait_until(lambda: life.of(job).count("failed") == 2, timeout_s=15)
    return job


def fails_and_is_tried_again_at_once(life: Life) -> Job:
    job = life.queue.enqueue(fail, retry=Retry(max=1))
    life.start_workers()
    assert job.wait(15)
    return job


def fails_and_is_tried_again_later(life: Life) -> Job:
    job = life.queue.enqueue(fail, retry=Retry(max=1, interval=60))
    life.start_workers()
    wait_until(lambda: "scheduled" in life.of(job), timeout_s=15)
    return job


def is_scheduled_and_cancelled(life: Life) -> Job:
    job = life.queue.enqueue_in(timedelta(hours=1), add)
    job.cancel()
    return job


def is_scheduled_and_comes_due(life: Life) -> Job:
    job = life.queue.enqueue_in(timedelta(seconds=0), add)
    life.start_workers()
    assert job.wait(15)
    return job


def waits_for_another_job(life: Life) -> Job:
    job = life.queue.enqueue(add, depends_on=life.queue.enqueue(add))
    life.start_workers()
    assert job.wait(15)
    return job


def is_stopped(life: Life) -> Job:
    job = life.queue.enqueue(hold, "gate")
    life.start_workers()
    life.effects.wait_for("gate:begun")
    job.cancel()
    wait_until(lambda: "stopped" in life.of(job), timeout_s=15)
    return job


def is_cancelled_for_a_need_that_is_missing(life: Life) -> Job:
    return life.queue.enqueue(add_with_svc)


def is_held_and_released(life: Life) -> Job:
    job = life.queue.enqueue(add_with_svc, on_loss="hold")
    with life.bus.service("svc"):
        HeldJobs(life.bus.redis).run()
        job.cancel()
    return job


def is_cancelled_and_deleted(life: Life) -> Job:
    job = life.queue.enqueue(add)
    job.cancel()
    assert RecordScripts(life.bus.redis).delete([job.id]).deleted == 1
    return job


def tells_its_progress(life: Life) -> Job:
    job = life.queue.enqueue(walk_on, "w")
    life.effects.let_go("w")
    life.start_workers(modules=(progress_jobs.__name__,))
    assert job.wait(15)
    return job


LIVES: dict[Callable[[Life], Job], list[str]] = {
    finishes: ["enqueued", "started", "finished"],
    fails: ["enqueued", "started", "failed"],
    fails_and_is_put_back: ["enqueued", "started", "failed", "enqueued", "started", "failed"],
    fails_and_is_put_back_by_rq: ["enqueued", "started", "failed", "enqueued", "started", "failed"],
    fails_and_is_tried_again_at_once: ["enqueued", "started", "retried", "enqueued", "started", "failed"],
    fails_and_is_tried_again_later: ["enqueued", "started", "retried", "scheduled"],
    is_scheduled_and_cancelled: ["scheduled", "cancelled"],
    is_scheduled_and_comes_due: ["scheduled", "enqueued", "started", "finished"],
    waits_for_another_job: ["deferred", "enqueued", "started", "finished"],
    is_stopped: ["enqueued", "started", "stopped"],
    is_cancelled_for_a_need_that_is_missing: ["cancelled"],
    is_held_and_released: ["held", "released", "cancelled"],
    tells_its_progress: ["enqueued", "started", "progress", "progress", "finished"],
    is_cancelled_and_deleted: ["enqueued", "cancelled", "deleted"],
}


@pytest.mark.parametrize("live", [pytest.param(live, id=live.__name__) for live in LIVES])
def test_a_job_that(live: Callable[[Life], Job], life: Life) -> None:
    job = live(life)
    wait_until(lambda: len(life.of(job)) >= len(LIVES[live]), timeout_s=15, what=str(LIVES[live]))
    assert life.of(job) == LIVES[live]
    assert all(event.get("at_ms") or event["status"] in ("failed", "finished") for event in life.events(job))


def test_the_lives_above_have_every_event_that_there_is() -> None:
    assert {status for life in LIVES.values() for status in life} == set(JOB_EVENTS)


def test_a_job_whose_worker_died_is_tried_again_and_both_are_told_in_order(life: Life, bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, retry=Retry(max=1))
    claim_next(bus)
    Reaper(bus.redis).reap("w", job.id)
    assert life.of(job) == ["enqueued", "started", "retried", "enqueued"]
    assert life.events(job)[2]["reason"] == "its worker w died"


def test_a_retry_says_why_and_a_schedule_says_when(life: Life) -> None:
    job = fails_and_is_tried_again_later(life)
    *_, retried, scheduled = life.events(job)
    assert retried["reason"] == "RuntimeError: it went wrong"
    assert scheduled["due_ms"] - scheduled["at_ms"] > 50_000
