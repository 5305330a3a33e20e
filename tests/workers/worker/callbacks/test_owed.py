"""``on_failure`` is called once for each run that failed, also when its process or its worker was killed."""

import os
import signal
from contextlib import closing
from typing import Any

import pytest
import rq
from rq import Retry

import notify
from notify.testing import wait_until
from tests.support.killed_jobs import (
    die,
    die_on_failure,
    fail_once_then_die,
    hang_on_failure,
    hold,
    note_failure,
    raise_at_once,
    raise_on_failure,
)
from tests.support.sample_jobs import add, count_stop
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, claim_next, is_alive, mishaps
from workers import Outcome, Queue, Worker, rq_keys
from workers.fleet.reaper import Reaper
from workers.scripts.callbacks import CallbackScripts, OwedCallback
from workers.scripts.run import Run
from workers.worker.maintenance import clean_registries

JOBS = "tests.support.killed_jobs"
MODULES = (SAMPLE, JOBS)
NOTE = rq.Callback(note_failure)


def owed(bus: notify.Bus) -> list[bytes]:
    return CallbackScripts(bus.redis).owed("work")


def text(bus: notify.Bus, field: str) -> str:
    raw: Any = bus.redis.hget("rq:test:effects", field)
    return raw.decode()


@pytest.mark.any_server
def test_a_killed_process_is_followed_by_the_callback_in_a_new_one(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (worker,) = start_workers(modules=MODULES).processes
    job = queue.enqueue(die, on_failure=NOTE)
    outcome = job.wait(10)
    effects.wait_for("on_failure")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert effects["on_failure"] == 1
    assert text(bus, "on_failure:error") == f"True: {outcome.reason}"
    assert (text(bus, "on_failure:job"), effects["on_failure:traced"], owed(bus)) == (job.id, 1, [])
    assert effects["on_failure:horse"] not in (0, worker.pid)
    assert bus.state("told")["times"] == 1  # the run is over, and so is its fence


@pytest.mark.any_server
def test_a_killed_worker_is_followed_by_the_callback_in_another_one(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (worker,) = start_workers(modules=MODULES, lease_s=1).processes
    job = queue.enqueue(hold, "x", on_failure=NOTE)
    effects.wait_for("x:begun")
    start_workers(modules=MODULES, lease_s=1, size=2)
    worker.kill()
    assert job.wait(10).status == "failed"
    effects.wait_for("on_failure")
    assert [queue.enqueue(add).wait(10) for _ in range(2)] == [Outcome("finished")] * 2
    assert (effects["on_failure"], effects["on_failure:traced"], owed(bus)) == (1, 1, [])
    assert text(bus, "on_failure:error").startswith("True: its worker ")


def test_the_twin_whose_end_owes_no_callback_never_calls_it(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a worker of plain RQ whose horse is killed."""
    monkeypatch.setattr("workers.fleet.reaper.owe_on_failure", lambda *_, **__: None)
    job = queue.enqueue(add, on_failure=NOTE)
    claim_next(bus)
    Reaper(bus.redis).reap("w", job.id)
    start_workers(modules=MODULES)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (job.get_status(), effects["on_failure"]) == ("failed", 0)


def test_a_worker_that_starts_later_calls_what_is_owed(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    job = queue.enqueue(add, on_failure=NOTE)
    claim_next(bus)
    for _ in range(2):  # two reapers at once
        Reaper(bus.redis).reap("w", job.id)
    assert len(owed(bus)) == 1
    assert 0 < bus.redis.ttl(bus.keys.callbacks("work")) <= 7 * 86_400
    start_workers(modules=MODULES, size=2)
    effects.wait_for("on_failure")
    wait_until(lambda: not owed(bus))
    assert [queue.enqueue(add).wait(10) for _ in range(2)] == [Outcome("finished")] * 2
    assert effects["on_failure"] == 1


@pytest.mark.any_server
def test_each_failed_run_calls_back_once_whether_it_raised_or_was_killed(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """As with RQ, a run that is tried again has failed too."""
    start_workers(modules=MODULES)
    job = queue.enqueue(fail_once_then_die, on_failure=NOTE, retry=Retry(max=2))
    assert job.wait(10).status == "failed"
    effects.wait_for("on_failure", 3)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (effects["tried"], effects["on_failure"]) == (3, 3)


@pytest.mark.any_server
@pytest.mark.parametrize("function", [raise_at_once, die], ids=["a job that raises", "a job that is killed"])
@pytest.mark.parametrize("callback", [die_on_failure, raise_on_failure])
def test_a_callback_that_dies_or_raises_is_not_called_again(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, function: Any, callback: Any
) -> None:
    (worker,) = start_workers(modules=MODULES).processes
    job = queue.enqueue(function, on_failure=rq.Callback(callback))
    assert job.wait(10).status == "failed"
    effects.wait_for("on_failure")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (effects["on_failure"], owed(bus), worker.poll()) == (1, [], None)


@pytest.mark.any_server
def test_a_worker_that_is_killed_in_the_callback_does_not_have_it_called_again(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """At most once: nobody knows how far it came."""
    (worker,) = start_workers(modules=MODULES, lease_s=1).processes
    job = queue.enqueue(raise_at_once, on_failure=rq.Callback(hang_on_failure))
    effects.wait_for("on_failure")
    start_workers(modules=MODULES, lease_s=1)
    worker.kill()
    assert job.wait(10).status == "failed"
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (effects["on_failure"], owed(bus)) == (1, [])
    wait_until(lambda: not is_alive(effects["on_failure:horse"]))


@pytest.mark.any_server
def test_a_callback_that_is_owed_ends_with_its_time(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers(modules=MODULES)
    queue.enqueue(die, on_failure=rq.Callback(hang_on_failure, timeout=1))
    effects.wait_for("on_failure")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (effects["on_failure"], owed(bus), is_alive(effects["on_failure:horse"])) == (1, [], False)


@pytest.mark.any_server
def test_a_second_signal_ends_the_callback(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers(modules=MODULES)
    queue.enqueue(die, on_failure=rq.Callback(hang_on_failure))
    effects.wait_for("on_failure")
    (worker,) = pool.processes
    worker.send_signal(signal.SIGQUIT)
    assert worker.wait(5) == 0
    assert not is_alive(effects["on_failure:horse"])


def test_a_job_ended_by_a_second_signal_is_called_back_by_the_next_worker(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (worker,) = start_workers(modules=MODULES).processes
    job = queue.enqueue(hold, "x", on_failure=NOTE)
    effects.wait_for("x:begun")
    os.kill(worker.pid, signal.SIGQUIT)
    assert worker.wait(10) == 0
    assert (job.get_status(), effects["on_failure"], len(owed(bus))) == ("failed", 0, 1)
    start_workers(modules=MODULES)
    effects.wait_for("on_failure")
    wait_until(lambda: not owed(bus))


def test_a_worker_without_the_function_leaves_the_callback_to_others(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    job = queue.enqueue(add, on_failure=NOTE)
    claim_next(bus)
    Reaper(bus.redis).reap("w", job.id)
    start_workers(modules=(SAMPLE,))
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert len(owed(bus)) == 1
    start_workers(modules=MODULES)
    effects.wait_for("on_failure")


def test_what_is_no_callback_is_dropped_and_the_next_one_is_called(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, capfd: pytest.CaptureFixture[str]
) -> None:
    deep = b"[" * 100_000
    spoilt = (b"\xff\x1b[2J", b'{"job": 1}', deep, b'{"job":"gone","fence":"f","function":"%s.note_failure","reason":"r"}' % JOBS.encode())
    bus.redis.rpush(bus.keys.callbacks("work"), *spoilt)
    job = queue.enqueue(add, on_failure=NOTE)
    claim_next(bus)
    Reaper(bus.redis).reap("w", job.id)
    start_workers(modules=MODULES)
    effects.wait_for("on_failure")
    wait_until(lambda: not owed(bus))
    assert (text(bus, "on_failure:job"), effects["on_failure"]) == (job.id, 1)
    assert "\x1b" not in capfd.readouterr().err


def test_a_list_that_is_spoilt_keeps_no_end_from_being_recorded(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    bus.redis.set(bus.keys.callbacks("work"), "no list", ex=60)
    start_workers(modules=MODULES)
    assert queue.enqueue(die, on_failure=NOTE).wait(10).status == "failed"
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def test_the_callback_of_a_stopped_run_is_owed_unless_its_worker_had_begun_it(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    jobs = [queue.enqueue(add, on_stopped=rq.Callback(count_stop)) for _ in range(2)]
    for job, has_begun in zip(jobs, (False, True), strict=True):
        run = claim_next(bus).run
        assert job.cancel("enough").status == "stopped"
        assert not has_begun or CallbackScripts(bus.redis).begin(run)
        Reaper(bus.redis).reap("w", job.id)
        assert job.get_status() == "stopped"
    assert len(owed(bus)) == 1
    start_workers(modules=MODULES)
    effects.wait_for("on_stopped")
    wait_until(lambda: not owed(bus))
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert effects["on_stopped"] == 1


@pytest.mark.parametrize("is_foreign", [False, True], ids=["ours", "plain RQ"])
def test_an_abandoned_run_is_ended_with_event_and_callback_by_maintenance(bus: notify.Bus, queue: Queue, is_foreign: bool) -> None:
    """Its worker has no lease: it was of plain RQ, or the leases were lost. RQ's code would publish nothing."""
    job = queue.enqueue(add, on_failure=NOTE)
    run = claim_next(bus).run
    if is_foreign:
        bus.redis.hdel(job.key, "fence")
    bus.redis.zadd(rq_keys.started("work"), {f"{job.id}:{run.fence}": 1})
    worker = Worker(["work"], connection=bus.redis, modules=[JOBS])
    with bus.subscribe(bus.keys.job_topic("work")) as events, closing(worker._client):
        clean_registries(worker)
        (event,) = mishaps(events, 1)
    assert (event["job"], event["status"], job.get_status()) == (job.id, "failed", "failed")
    assert (len(owed(bus)), queue.started_job_registry.get_job_ids()) == (1, [])


def test_a_tool_of_rq_that_cleans_a_registry_leaves_the_callback_to_a_worker(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, on_failure=NOTE)
    run = claim_next(bus).run
    bus.redis.zadd(rq_keys.started("work"), {f"{job.id}:{run.fence}": 1})
    assert queue.started_job_registry.get_job_ids() == []
    assert (job.get_status(), len(owed(bus))) == ("failed", 1)


def test_only_the_newest_thousand_callbacks_of_a_queue_are_kept(bus: notify.Bus) -> None:
    scripts = CallbackScripts(bus.redis)
    with bus.redis.pipeline() as pipe:
        for number in range(1_002):
            scripts.owe("work", OwedCallback(job=str(number), fence="f", function="m.f", reason=""), pipeline=pipe)
        pipe.execute()
    kept = owed(bus)
    assert (len(kept), b'"job":"2"' in kept[0], b'"job":"1001"' in kept[-1]) == (1_000, True, True)


def test_of_a_run_that_has_begun_its_callback_none_is_owed(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, on_failure=NOTE)
    run = claim_next(bus).run
    assert not CallbackScripts(bus.redis).begin(Run(job.id, "another"))
    assert CallbackScripts(bus.redis).begin(run)
    Reaper(bus.redis).reap("w", job.id)
    assert (job.get_status(), owed(bus)) == ("failed", [])
