"""Cancelling at the worst moments, many times, in real processes."""

import random
import threading
import time
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, fail, hold, hold_and_fail, hold_and_retry, tick
from tests.workers.conftest import Effects, StartWorkers, is_alive, mishaps, next_mishap
from workers import Job, Outcome, Queue
from workers.loss.watcher import CHECK_S
from workers.scripts.jobs import JobScripts


def test_nothing_happens_after_a_cancel_however_soon_it_comes(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 20: 100 cancels 0 to 40 ms after the enqueue."""
    start_workers(2)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    jobs: dict[str, Outcome] = {}
    with bus.subscribe("job.work") as events:
        for number in range(100):
            job = queue.enqueue(hold, "x", job_id=f"job-{number}", retry=rq.Retry(max=3))
            threading.Event().wait(random.uniform(0, 0.04))
            outcome = job.cancel("soon")
            assert outcome is not None
            jobs[job.id] = outcome
        events_seen = {each["job"]: each["status"] for each in mishaps(events, 100)}
        # Whatever could still go on may do so now.
        effects.let_go("x", 200)
        assert queue.enqueue(add).wait(10) == Outcome("finished")
        assert next_mishap(events, 0.05) is None
    assert effects["x:done"] == 0
    assert {outcome.status for outcome in jobs.values()} <= {"cancelled", "stopped"}
    assert events_seen == {job_id: outcome.status for job_id, outcome in jobs.items()}
    assert {job_id: Job.fetch(job_id, connection=bus.redis).outcome for job_id in jobs} == jobs
    assert bus.redis.llen(queue.intermediate_queue_key) == 0
    assert (queue.get_job_ids(), queue.started_job_registry.get_job_ids()) == ([], [])


def test_a_stop_while_a_job_finishes_counts_or_is_too_late_and_hits_no_other_job(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    with bus.subscribe("job.work") as events:
        decided: list[tuple[Job, Outcome, Job]] = []
        for number in range(60):
            ending, next_one = queue.enqueue(add, f"ending-{number}"), queue.enqueue(add, f"next-{number}")
            effects.wait_for(f"ending-{number}")  # its last act: from here on it only has to be recorded
            threading.Event().wait(random.uniform(0, 0.003))
            outcome = ending.cancel("late")
            assert outcome is not None
            decided.append((ending, outcome, next_one))
        assert [next_one.wait(10) for _, _, next_one in decided] == [Outcome("finished")] * 60
        stopped = [ending.id for ending, outcome, _ in decided if outcome.status == "stopped"]
        assert [each["job"] for each in mishaps(events, len(stopped))] == stopped
    for number, (ending, outcome, _) in enumerate(decided):
        assert outcome.status in ("finished", "stopped")
        assert (ending.outcome, ending.id in queue.finished_job_registry) == (outcome, outcome.status == "finished")
        assert (effects[f"ending-{number}"], effects[f"next-{number}"]) == (1, 1)
    assert queue.started_job_registry.get_job_ids() == []


def test_a_stop_without_a_message_is_found_within_the_check_interval(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 21: the message is lost."""
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        marked = time.monotonic()
        assert JobScripts(bus.redis).stop_run(running.id, reason="silently") == "stopped"
        assert next_mishap(events) is not None
        assert time.monotonic() - marked < CHECK_S + 1
    assert not is_alive(effects["x:pid"])
    assert running.outcome is not None
    assert running.outcome.reason == "silently"


@pytest.mark.parametrize("function", [hold, hold_and_retry, hold_and_fail])
def test_a_job_that_was_stopped_ends_as_stopped_however_it_ends_by_itself(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, function: Any
) -> None:
    """The mark comes first; the process still runs when the job returns, asks for a retry or raises."""
    start_workers()
    running = queue.enqueue(function, "x", retry=rq.Retry(max=3))
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        JobScripts(bus.redis).stop_run(running.id, reason="first")
        effects.let_go("x")
        assert [each["status"] for each in mishaps(events, 1)] == ["stopped"]
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert running.outcome is not None
    assert (running.outcome.status, running.outcome.reason) == ("stopped", "first")
    assert (effects["x:begun"], queue.get_job_ids(), queue.scheduled_job_registry.get_job_ids()) == (1, [], [])
    assert running.id not in queue.finished_job_registry


def test_a_stopped_job_is_not_tried_again(queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(tick, "x", retry=rq.Retry(max=3))
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        outcome = running.cancel()
        mishaps(events, 1)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (running.outcome, queue.get_job_ids(), Job.fetch(running.id, connection=bus.redis).retries_left) == (outcome, [], 3)


def test_a_job_that_fails_again_and_again_can_be_cancelled_at_any_moment(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    for number in range(25):
        failing = queue.enqueue(fail, f"{number}", retry=rq.Retry(max=1000))
        effects.wait_for(f"{number}", random.randint(1, 3))
        outcome = failing.cancel()
        assert queue.enqueue(add).wait(10) == Outcome("finished")  # by the same worker: the last run is over
        times = effects[f"{number}"]
        assert queue.enqueue(add).wait(10) == Outcome("finished")
        assert outcome is not None
        assert outcome.status in ("cancelled", "stopped")
        assert (failing.outcome, queue.get_job_ids()) == (outcome, [])
        assert effects[f"{number}"] == times


@pytest.mark.usefixtures("each_window")
@pytest.mark.parametrize("retry", [None, rq.Retry(max=3)])
def test_a_job_stopped_after_its_worker_was_killed_stays_stopped(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects, retry: Any
) -> None:
    """RQ finds the job among the abandoned ones when its heartbeat is old, and would fail it or try it again."""
    (process,) = start_workers().processes
    running = queue.enqueue(tick, "x", retry=retry)
    effects.wait_for("x:begun")
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    outcome = running.cancel("nobody is there")
    abandoned = queue.started_job_registry
    abandoned.cleanup(timestamp=2_000_000_000_000)
    assert (running.outcome, queue.get_job_ids(), abandoned.get_job_ids()) == (outcome, [], [])
    assert bus.redis.ttl(running.key) > 0


@pytest.mark.usefixtures("each_window")
def test_a_job_whose_worker_was_killed_is_tried_again_when_rq_finds_it(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    (process,) = start_workers().processes
    running = queue.enqueue(hold, "x", retry=rq.Retry(max=1))
    effects.wait_for("x:begun")
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    queue.started_job_registry.cleanup(timestamp=2_000_000_000_000)
    start_workers()
    effects.wait_for("x:begun", 2)
    effects.let_go("x")
    assert running.wait(10) == Outcome("finished")


def test_many_cancellers_of_one_running_job_stop_it_once(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    outcomes: list[Outcome | None] = []
    with bus.subscribe("job.work") as events:
        threads = [threading.Thread(target=lambda n=n: outcomes.append(running.cancel(f"by {n}"))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mishaps(events, 1)
        assert queue.enqueue(add).wait(10) == Outcome("finished")
        assert next_mishap(events, 0.05) is None
    assert len(outcomes) == 8
    assert set(outcomes) == {running.outcome}
