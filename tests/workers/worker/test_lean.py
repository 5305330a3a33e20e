"""Lean workers: what they leave out, and that all that is promised about losses, stops and kills holds for them too."""

import os
import signal
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import BEGUN, begin
from tests.support.sample_jobs import add, add_with_svc, fail, hold, sleep
from tests.workers.conftest import Effects, StartWorkers, children
from workers import Outcome, Pool, Queue, rq_keys

MODULES = ("tests.support.batch_jobs", "tests.support.sample_jobs")


@pytest.fixture
def start_lean(start_workers: StartWorkers) -> StartWorkers:
    def start(size: int = 1, *, history: Any = "lean", **options: Any) -> Pool:
        return start_workers(size, modules=MODULES, history=history, **options)

    return start


def statuses(events: notify.Subscriber) -> set[str]:
    """The statuses of the events that have come, the last of them that of a failure."""
    found: list[str] = []
    while "failed" not in found:
        event: Any = events.get(5)
        assert event is not None
        found.append(event.contents["status"])
    return set(found)


@pytest.mark.parametrize("history", ["lean", "full"])
def test_a_lean_worker_leaves_out_what_the_readme_says_and_nothing_else(
    bus: notify.Bus, queue: Queue, start_lean: StartWorkers, effects: Effects, history: str
) -> None:
    """The twin is a worker that keeps the full history."""
    is_full = history == "full"
    start_lean(history=history)
    with bus.subscribe("job.work") as events:
        empty, full, failing = queue.enqueue(sleep, 0.0, "x"), queue.enqueue(add), queue.enqueue(fail)
        assert (empty.wait(15), full.wait(15)) == (Outcome("finished"), Outcome("finished"))
        assert {"started", "finished"} <= (found := statuses(events)) if is_full else "finished" not in (found := statuses(events))
        assert {"enqueued", "failed"} <= found
    assert (full.return_value(), bus.redis.exists(rq_keys.results(empty.id))) == ("added", int(is_full))
    assert failing.is_failed
    assert set(queue.finished_job_registry.get_job_ids()) == {empty.id, full.id}
    held = queue.enqueue(hold, "y")
    effects.wait_for("y:begun")
    wait_until(lambda: bool(bus.redis.exists(rq_keys.executions(held.id))) is is_full, what="the record of a run that goes on")
    effects.let_go("y")
    assert held.wait(15) == Outcome("finished")


def test_a_job_of_a_lean_worker_is_stopped_and_one_that_waits_is_cancelled(
    queue: Queue, start_lean: StartWorkers, effects: Effects
) -> None:
    start_lean()
    running, waiting = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    waiting.cancel()
    running.cancel("enough")
    outcomes = [job.wait(15) for job in (running, waiting)]
    assert [outcome and outcome.status for outcome in outcomes] == ["stopped", "cancelled"]
    assert queue.enqueue(add).wait(15) == Outcome("finished")
    assert (effects["added"], effects["x:done"]) == (1, 0)


def test_a_job_of_a_lean_worker_ends_with_the_service_that_it_needs(
    bus: notify.Bus, queue: Queue, start_lean: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc", ttl_s=5):
        start_lean()
        running = queue.enqueue(hold, "x", needs="svc")
        effects.wait_for("x:begun")
        behind = queue.enqueue(add_with_svc)
    for job in (running, behind):
        outcome = job.wait(15)
        assert outcome is not None
        assert (outcome.status, outcome.need) == ("stopped" if job is running else "cancelled", "svc")
    assert effects["added"] == 0


@pytest.mark.any_server
@pytest.mark.parametrize("victim", ["worker", "process of the jobs"])
@pytest.mark.parametrize("window", [1, 32])
def test_a_kill_costs_a_lean_worker_the_job_at_work_and_no_job_runs_twice(
    bus: notify.Bus, queue: Queue, start_lean: StartWorkers, victim: str, window: int
) -> None:
    pool = start_lean(2, window=window, lease_s=1.0)
    calls = [Queue.prepare_data(begin, [0.01], job_id=f"job-{number}", timeout=30) for number in range(60)]
    jobs = queue.enqueue_many(calls)
    wait_until(lambda: int(bus.redis.llen(BEGUN)) >= 5)
    worker = pool.processes[0].pid
    if victim == "worker":
        pool.processes[0].kill()
    else:
        (server,) = children(worker)
        horses = children(server)
        for horse in horses:
            os.kill(horse, signal.SIGKILL)
    finished, failed = rq_keys.finished("work"), rq_keys.failed("work")
    wait_until(lambda: int(bus.redis.zcard(finished)) + int(bus.redis.zcard(failed)) == len(jobs), timeout_s=30, what="all ends")
    names: Any = bus.redis.lrange(BEGUN, 0, -1)
    assert len(names) == len(set(names)), "no job began twice"
    assert int(bus.redis.zcard(failed)) <= 1
