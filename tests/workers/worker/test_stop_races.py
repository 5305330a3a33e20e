"""Stops that come at a bad moment: they hit the run that is meant, and no other."""

import subprocess
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.odd_workers import odd_worker, run_odd_worker
from tests.support.sample_jobs import (
    add,
    add_with_svc,
    hold,
    start_a_program,
)
from tests.workers.conftest import Effects, StartWorkers, is_alive, mishaps
from workers import Outcome, Queue, Worker
from workers.loss.watcher import LossWatcher
from workers.scripts import JobScripts

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: some fork in this process


def test_a_stop_of_another_job_does_not_hit_the_one_that_runs(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    ended, running = queue.enqueue(hold, "x"), queue.enqueue(hold, "y")
    effects.wait_for("x:begun")
    ended.cancel()
    effects.wait_for("y:begun")
    (name,) = [worker.name for worker in rq.Worker.all(connection=bus.redis)]
    rq.command.send_command(bus.redis, name, "stop-job", job_id=ended.id)
    effects.let_go("y")
    assert running.wait(10) == Outcome("finished")


@pytest.mark.any_server
def test_a_stopped_job_takes_the_programs_it_started_with_it(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    running = queue.enqueue(start_a_program, "x")
    effects.wait_for("x:begun")
    assert is_alive(effects["x:pid"])
    running.cancel()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the program")


@pytest.mark.parametrize("worker", ["StoppedBeforeTheStart", "StoppedBeforeTheAnswer"])
def test_a_job_stopped_before_its_process_is_there_never_runs(
    bus: notify.Bus, queue: Queue, server: Any, effects: Effects, worker: str
) -> None:
    with bus.subscribe("job.work") as events:
        early = queue.enqueue(add)
        run_odd_worker(worker, server.url)
        (event,) = mishaps(events, 1)
    outcome = early.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, event["status"]) == ("stopped", "early", "stopped")
    assert (effects["added"], early.id in queue.started_job_registry) == (0, False)


def test_a_stop_that_comes_too_late_does_not_hit_the_next_job(queue: Queue, server: Any, effects: Effects) -> None:
    stopped, next_one = queue.enqueue(hold, "x"), queue.enqueue(hold, "y")
    with subprocess.Popen(odd_worker("StoppedTooLate", server.url)) as worker:
        effects.wait_for("x:begun")
        outcome = stopped.cancel()
        effects.let_go("x")
        effects.wait_for("y:begun")
        effects.wait_for("too late")
        effects.let_go("y")
        assert worker.wait(20) == 0
    assert (stopped.outcome, next_one.outcome) == (outcome, Outcome("finished"))


def test_a_stop_counts_for_one_run_only(queue: Queue, server: Any, effects: Effects) -> None:
    stopped = queue.enqueue(hold, "x", job_id="the-same")
    queue.enqueue(hold, "y")
    with subprocess.Popen(odd_worker("CheckedOnceMore", server.url)) as worker:
        effects.wait_for("x:begun")
        stopped.cancel()
        effects.wait_for("y:begun")
        again = queue.enqueue(add, job_id="the-same")
        effects.let_go("y")
        assert worker.wait(20) == 0
    assert again.outcome == Outcome("finished")


def before_the_start(worker: Worker, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something when a job has been taken and the horse has not got it yet."""
    for part in (worker._loop._turn, worker._loop.ahead):  # of a job that is claimed alone, and of a plain one

        def act_and_give(*args: Any, give: Any = part._give) -> Any:
            act()
            return give(*args)

        monkeypatch.setattr(part, "_give", act_and_give)


def test_a_job_cancelled_between_claim_and_start_never_runs(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = queue.enqueue(add)

    def cancel() -> None:  # what `Job.cancel` does before it waits until the worker has heard of it
        JobScripts(bus.redis).cancel_or_stop(queued.id, reason="cancelled")
        worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})

    before_the_start(worker, cancel, monkeypatch)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    assert queued.outcome is not None
    assert (effects["added"], queued.outcome.status, queued.outcome.reason) == (0, "stopped", "cancelled")
    assert queued.id not in queue.started_job_registry
    assert bus.redis.llen(queue.intermediate_queue_key) == 0


def test_plain_rq_runs_a_job_cancelled_between_dequeue_and_start(bus: notify.Bus) -> None:
    """RQ issue 2160, which is what the gate is for."""
    called.clear()
    plain = rq.Queue("plain", connection=bus.redis, serializer="json")
    queued = plain.enqueue("tests.workers.worker.test_stop_races.call")
    worker = rq.SimpleWorker([plain], connection=bus.redis, serializer="json")
    dequeued: Any = worker.dequeue_job_and_maintain_ttl(None)
    queued.cancel()
    worker.execute_job(*dequeued)
    assert called == [1]


called: list[int] = []


def call() -> None:
    called.append(1)


def test_a_stop_that_comes_before_the_answer_to_the_claim_is_not_lost(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's own command, which leaves no mark; the claim is made, and the worker does not know yet."""
    queued = queue.enqueue(add)

    def stop() -> None:
        worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})

    before_the_start(worker, stop, monkeypatch)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    assert queued.outcome is not None
    assert (effects["added"], queued.outcome.status) == (0, "stopped")


def test_a_stop_of_a_job_that_does_not_run_here_does_not_hit_it_when_it_does(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects
) -> None:
    queued = queue.enqueue(add)
    worker.handle_payload({"data": msgspec.json.encode({"command": "stop-job", "job_id": queued.id})})
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    worker.teardown()
    assert (effects["added"], queued.outcome) == (1, Outcome("finished"))


def test_a_service_lost_between_claim_and_start_keeps_the_job_from_starting(
    bus: notify.Bus, queue: Queue, worker: Worker, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, service = LossWatcher(bus.redis, worker._stopper.stop_run), bus.service("svc").open()

    def lose() -> None:
        service.close()
        assert worker._current_run.run is not None
        watcher.watch(worker._current_run.run)
        watcher.check()
        watcher.close()

    queued = queue.enqueue(add_with_svc)
    before_the_start(worker, lose, monkeypatch)
    taken: Any = worker.dequeue_job_and_maintain_ttl(None)
    worker.execute_job(*taken)
    outcome = queued.outcome
    assert outcome is not None
    assert (effects["added"], outcome.status, outcome.need) == (0, "stopped", "svc")
