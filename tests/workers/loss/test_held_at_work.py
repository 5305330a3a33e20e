"""Held jobs with real workers."""

from datetime import timedelta
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.held_jobs import PATIENT
from tests.support.queued_jobs import run_scheduler
from tests.support.sample_jobs import add, add_when_svc_is_there, hold, hold_and_fail
from tests.workers.conftest import Effects, StartWorkers
from workers import Outcome, Queue, explain
from workers.loss.held import HeldJobs


def test_jobs_enqueued_by_rqs_own_code_are_held_too(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    """A dependent job, a job in a pipeline, a scheduled job, and a retried job."""
    with bus.service("svc"):
        scheduled = queue.enqueue_in(timedelta(seconds=-1), add_when_svc_is_there, "scheduled")
        failing = queue.enqueue(hold_and_fail, "x", retry=rq.Retry(max=1), needs="svc", on_loss="hold", grace_s=100)
        start_workers()
        effects.wait_for("x:begun")
    dependent = queue.enqueue(add, "dependent", depends_on=queue.enqueue(add), **PATIENT)
    with bus.redis.pipeline() as pipe:
        in_pipeline = queue.enqueue(add, "in a pipeline", pipeline=pipe, **PATIENT)
        pipe.execute()
    run_scheduler(bus)
    effects.let_go("x")
    jobs = [scheduled, failing, dependent, in_pipeline]
    wait_until(lambda: all(job.held == "svc" for job in jobs), timeout_s=10)
    assert (effects["added"], effects["x:begun"]) == (1, 1)
    with bus.service("svc"):
        holds.run()
        effects.let_go("x")
        for job in jobs:
            assert job.wait(10) is not None
    assert [effects[name] for name in ("scheduled", "dependent", "in a pipeline", "x:begun")] == [1, 1, 1, 2]


def test_N7_work_can_wait_for_a_service(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.subscribe("job.work") as events:
        job = queue.enqueue(add, **PATIENT)
        assert "It is held: svc is not there. It returns to the queue as soon as svc is back." in explain(bus, job)
        assert queue.enqueue(add, "other").wait(10) == Outcome("finished")
        assert (job.outcome, effects["added"]) == (None, 0)
        with bus.service("svc"):
            holds.run()
            assert job.wait(10) == Outcome("finished")
        statuses: list[Any] = []
        while len(statuses) < 4:
            event: Any = events.get(5)
            assert event is not None, f"only {statuses} came"
            statuses += [event.contents["status"]] if event.contents["job"] == job.id else []
    assert (statuses, effects["added"]) == (["held", "released", "started", "finished"], 1)


def test_a_worker_takes_held_jobs_in_their_old_order_before_later_jobs(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    held = [queue.enqueue(add, **PATIENT).id for _ in range(40)]
    start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    with bus.subscribe("job.work") as events, bus.service("svc"):
        later, order = [queue.enqueue(add, **PATIENT).id for _ in range(40)], list[str]()
        while len(order) < 80:
            holds.run()
            event: Any = events.get(0.05)
            order += [event.contents["job"]] if event is not None and event.contents["status"] == "started" else []
    assert order == [*held, *later]


@pytest.mark.usefixtures("each_window")
def test_a_running_job_is_killed_held_and_run_again_when_its_service_is_back(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.service("svc"):
        running, waiting = queue.enqueue(hold, "x", **PATIENT), queue.enqueue(hold, "y", **PATIENT)
        effects.wait_for("x:begun")
    wait_until(lambda: (running.held, waiting.held) == ("svc", "svc"), timeout_s=10)
    effects.let_go("x")  # in case the process still lives
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (running.outcome, effects["x:done"]) == (None, 0)
    with bus.service("svc"):
        holds.run()
        effects.let_go("y")
        assert (running.wait(10), waiting.wait(10)) == (Outcome("finished"), Outcome("finished"))
    assert [effects[name] for name in ("x:begun", "x:done", "y:begun", "y:done")] == [2, 1, 1, 1]
