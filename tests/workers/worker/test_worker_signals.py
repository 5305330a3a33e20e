"""How a worker process ends: by signals and by commands on its channel."""

import signal
from typing import Any

import pytest
import rq
from rq.command import send_kill_horse_command, send_shutdown_command

import notify
from notify.testing import wait_until
from tests.support.forged_jobs import MALFORMED_COMMANDS
from tests.support.odd_workers import run_odd_worker
from tests.support.sample_jobs import (
    add,
    hold,
    tick,
)
from tests.workers.conftest import Effects, StartWorkers, is_alive, next_mishap
from workers import Outcome, Queue
from workers.jobs.call import JsonSerializer


def test_messages_that_cannot_be_obeyed_harm_nothing(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    for message in MALFORMED_COMMANDS:
        assert bus.redis.publish(f"rq:pubsub:{name}", message) == 1
    # It still listens: RQ's own command, without our mark, takes effect at once.
    with bus.subscribe("job.work") as events:
        rq.command.send_stop_job_command(bus.redis, running.id, serializer=JsonSerializer)
        assert next_mishap(events, 0.9) is not None
    outcome = running.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("stopped", "stopped on request")


@pytest.mark.usefixtures("each_window")
@pytest.mark.any_server
def test_rqs_command_to_kill_the_process_of_a_job_is_obeyed(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    send_kill_horse_command(bus.redis, name)
    assert running.wait(10).status == "failed"
    send_kill_horse_command(bus.redis, name)  # there is none, and the worker's own group is none of it
    assert queue.enqueue(add).wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_rqs_command_to_shut_down_is_obeyed(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    (process,) = start_workers().processes
    queue.enqueue(add).wait(10)
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    send_shutdown_command(bus.redis, name)
    assert process.wait(10) == 0


@pytest.mark.any_server
def test_sigterm_lets_the_job_in_hand_finish_and_starts_no_other(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (process,) = start_workers().processes
    in_hand, next_one = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: bus.redis.hget(rq.Worker.all(connection=bus.redis)[0].key, "shutdown_requested_date"), what="the request")
    effects.let_go("x")
    assert process.wait(10) == 0
    assert (in_hand.outcome, next_one.outcome) == (Outcome("finished"), None)
    assert next_one.id in queue.get_job_ids()
    assert rq.Worker.all(connection=bus.redis) == []


@pytest.mark.any_server
def test_sigterm_between_two_jobs_is_an_orderly_end(queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        (process,) = start_workers().processes
        done = queue.enqueue(add)
        done.wait(10)
        process.send_signal(signal.SIGTERM)  # while the worker puts things away after the job
        assert process.wait(10) == 0
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.any_server
@pytest.mark.parametrize("worker", ["SignalledAtTheClaim", "SignalledBeforeTheStart"])
def test_sigterm_between_dequeue_and_start_loses_no_job(queue: Queue, server: Any, worker: str) -> None:
    """A plain job that has not begun goes back."""
    in_hand, next_one = queue.enqueue(add, "in hand"), queue.enqueue(add, "next")
    run_odd_worker(worker, server.url)
    assert (in_hand.outcome, next_one.outcome) == (None, None)
    assert (queue.get_job_ids(), queue.started_job_registry.get_job_ids()) == ([in_hand.id, next_one.id], [])


@pytest.mark.usefixtures("each_window")
def test_a_worker_that_is_killed_takes_its_job_with_it(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    (process,) = start_workers().processes
    queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    assert is_alive(effects["x:pid"])
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    written = effects["x:begun"]
    assert effects["x:begun"] == written
