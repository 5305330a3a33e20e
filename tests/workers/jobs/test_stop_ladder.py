"""The steps by which a running job is stopped."""

from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import (
    add,
    count_failure,
    count_success,
    heed,
    obey_sigterm,
    put_away,
    put_away_slowly,
    raise_job_stopped,
    save_when_stopped,
    stubborn,
    tick,
)
from tests.workers.conftest import Effects, StartWorkers, is_alive, next_mishap
from workers import Job, JobDefinitionError, Outcome, Queue, StopLadder, job


def stopped(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status == "stopped"


@pytest.mark.any_server
@pytest.mark.parametrize("function", [heed, put_away, obey_sigterm])
def test_a_stopped_job_can_clean_up(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, function: Any) -> None:
    start_workers()
    running = queue.enqueue(function, "x")
    effects.wait_for("x:begun")
    with bus.subscribe("job.work") as events:
        assert stopped(running.cancel("enough"))
        contents = next_mishap(events, 5)
    assert (contents["status"], contents["reason"]) == ("stopped", "enough")
    assert (effects["x:put away"], effects["x:a mistake"]) == (1, 0)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert stopped(running.outcome)
    assert (running.id in queue.finished_job_registry, queue.started_job_registry.get_job_ids()) == (False, [])


@pytest.mark.any_server
@pytest.mark.parametrize("callback", [{"on_success": rq.Callback(count_success)}, {"on_failure": rq.Callback(count_failure)}])
@pytest.mark.parametrize("function", [heed, put_away])
def test_no_callback_of_another_end_is_called(
    queue: Queue, start_workers: StartWorkers, effects: Effects, function: Any, callback: Any
) -> None:
    start_workers()
    running = queue.enqueue(function, "x", retry=rq.Retry(max=3), **callback)
    effects.wait_for("x:begun")
    running.cancel()
    effects.wait_for("x:put away")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert stopped(running.outcome)
    assert (effects["on_success"], effects["on_failure"], effects["x:begun"]) == (0, 0, 1)


def test_a_stopped_job_that_saves_itself_stays_stopped(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(save_when_stopped, "x")
    effects.wait_for("x:begun")
    assert stopped(running.cancel("enough"))
    effects.wait_for("x:stopped")
    assert stopped(running.outcome)


@pytest.mark.any_server
def test_a_job_that_does_not_stop_goes_through_every_step_and_is_killed(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(stubborn, "x")
    effects.wait_for("x:begun")
    assert stopped(running.cancel())
    wait_until(lambda: not is_alive(effects["x:pid"]), timeout_s=5, what="the end of the job")
    assert (effects["x:stopping"], effects["x:exception"], effects["x:sigterm"]) == (1, 1, 1)
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def test_the_loss_of_a_service_uses_the_ladder_too(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    with bus.service("svc"):
        running = queue.enqueue(put_away, "x", needs="svc")
        start_workers()
        effects.wait_for("x:begun")
    outcome = running.wait(10)
    effects.wait_for("x:put away")
    assert outcome is not None
    assert (outcome.status, outcome.need) == ("stopped", "svc")


@pytest.mark.any_server
def test_repeated_stops_go_through_the_ladder_once(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(put_away_slowly, "x")
    effects.wait_for("x:begun")
    running.cancel()
    effects.wait_for("x:stopped")
    for _ in range(20):
        running._send_stop_command()  # RQ's command, as Job.cancel sends it
        running.cancel()
    effects.let_go("x")
    effects.wait_for("x:done")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert effects["x:stopped"] == 1


@pytest.mark.any_server
def test_the_next_job_sees_no_stop(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    first, second = queue.enqueue(heed, "x"), queue.enqueue(heed, "y")
    effects.wait_for("x:begun")
    first.cancel()
    effects.wait_for("y:begun")
    assert (effects["x:put away"], effects["y:put away"]) == (1, 0)
    second.cancel()
    effects.wait_for("y:put away")


@pytest.mark.any_server
def test_without_a_ladder_a_job_is_killed_at_once(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    running.cancel()
    wait_until(lambda: not is_alive(effects["x:pid"]), timeout_s=1)


@pytest.mark.any_server
def test_a_job_that_raises_job_stopped_by_itself_fails(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    raising = queue.enqueue(raise_job_stopped)
    assert raising.wait(10).status == "failed"
    result = raising.latest_result()
    assert result is not None
    assert "JobStopped: by itself" in str(result.exc_string)


def test_a_job_that_does_not_run_is_not_stopping(bus: notify.Bus, queue: Queue) -> None:
    queued = queue.enqueue(add)
    assert not queued.stopping
    assert not Job.fetch(queued.id, connection=bus.redis).stopping


@pytest.mark.parametrize("ladder", [3, "1 s", {"flag_s": 1}])
def test_a_value_that_is_no_ladder_is_refused(ladder: Any) -> None:
    with pytest.raises(JobDefinitionError, match="StopLadder"):
        job("work", stop=ladder)


@pytest.mark.parametrize("times", [{"flag_s": -1.0}, {"exception_s": float("inf")}, {"sigterm_s": float("nan")}, {"flag_s": "1"}])
def test_a_ladder_with_invalid_times_is_refused(times: Any) -> None:
    with pytest.raises(ValueError, match="StopLadder"):
        StopLadder(**times)
