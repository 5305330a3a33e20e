"""Writes of a job's code: fenced from the moment the job is cancelled, stopped or taken over."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.fenced_jobs import (
    WORDS,
    publish_and_close,
    serve_when_released,
    store_when_released,
    write_at_the_end,
    write_on,
    write_when_released,
)
from tests.support.sample_jobs import add, fail
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import JobNotFoundError, Outcome, Pool, Queue, Why, current_bus
from workers.storage import StorageService

WAYS = 6
"""The number of writes of `write_when_released`."""
SHORT_S = 1.0
OLD = {"old": 1, "doomed": 1}


@pytest.fixture
def state(bus: notify.Bus) -> Iterator[notify.State]:
    found = bus.state("s")
    found.update(OLD)
    yield found
    found.clear()


@pytest.fixture
def workers(start_workers: StartWorkers) -> StartWorkers:
    def start(size: int = 1, **options: Any) -> Pool:
        return start_workers(size, modules=(SAMPLE, "tests.support.fenced_jobs"), **options)

    return start


def words(bus: notify.Bus, name: str) -> str:
    said: Any = bus.redis.hget(WORDS, name)
    return "" if said is None else said.decode()


def test_current_bus_is_refused_outside_of_a_job() -> None:
    with pytest.raises(JobNotFoundError, match="no job runs here"):
        current_bus()


def test_a_running_job_writes_in_every_way(queue: Queue, workers: StartWorkers, effects: Effects, state: notify.State) -> None:
    workers()
    running = queue.enqueue(write_when_released, "x")
    effects.let_go("x")
    assert running.wait(10) == Outcome("finished")
    assert (effects["x:written"], effects["x:refused"]) == (WAYS, 0)
    assert state.snapshot() == {"x": 1, "x:n": 1, "x:list": [running.id], "x:new": 1, "old": 2}


def test_writes_of_a_cancelled_job_are_refused_although_its_code_runs_on(
    bus: notify.Bus, queue: Queue, workers: StartWorkers, effects: Effects, state: notify.State
) -> None:
    """The counter-example: a write without a fence succeeds."""
    workers()
    running = queue.enqueue(write_when_released, "x")
    effects.wait_for("x:begun")
    running.cancel("enough")
    effects.let_go("x")
    effects.wait_for("x:refused", WAYS)
    wait_until(lambda: words(bus, "x:unfenced") == "written", what="the write without a fence")
    assert (effects["x:written"], dict(state)) == (0, OLD)
    assert words(bus, "x") == f"a write to the state of 's' was refused: job {running.id} was stopped or cancelled, or another run has it"
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def test_no_write_of_a_job_comes_after_its_cancel_has_returned(
    bus: notify.Bus, queue: Queue, workers: StartWorkers, effects: Effects, state: notify.State
) -> None:
    """The job writes all the time. The counter-example: its writes without a fence go on."""
    workers()
    for name in ("x", "y", "z"):
        running = queue.enqueue(write_on, name)
        wait_until(lambda name=name: state.get(name, 0) > 20, timeout_s=10)  # type: ignore[misc]  # mypy sees no type for it
        running.cancel()
        fenced = state[name]
        effects.wait_for(f"{name}:refused")
        unfenced = int(words(bus, name))
        effects.let_go(name)
        wait_until(lambda name=name, unfenced=unfenced: int(words(bus, name)) > unfenced, what="a write without a fence")  # type: ignore[misc]  # as above
        assert state[name] == fenced


def test_writes_of_a_run_are_refused_when_its_job_runs_elsewhere(
    bus: notify.Bus, queue: Queue, workers: StartWorkers, effects: Effects, state: notify.State
) -> None:
    """The worker is frozen and counts as dead. The counter-example: a write without a fence succeeds."""
    running = queue.enqueue(write_when_released, "x", retry=rq.Retry(max=1))
    frozen = workers(lease_s=SHORT_S)
    effects.wait_for("x:begun")
    (pid,) = (process.pid for process in frozen.processes)
    os.kill(pid, signal.SIGSTOP)
    try:
        workers(lease_s=SHORT_S)
        effects.wait_for("x:begun", 2)
        effects.let_go("x")  # the first that waited is the old run
        effects.wait_for("x:refused", WAYS)
        wait_until(lambda: words(bus, "x:unfenced") == "written", what="the write without a fence")
        assert (effects["x:written"], dict(state)) == (0, OLD)
        effects.let_go("x")
        effects.wait_for("x:written", WAYS)
        assert running.wait(10) == Outcome("finished")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert state.snapshot() == {"x": 1, "x:n": 1, "x:list": [running.id], "x:new": 1, "old": 2}


@pytest.mark.parametrize("write", [store_when_released, serve_when_released])
def test_the_error_of_a_refused_write_names_the_cancelled_job(
    bus: notify.Bus, queue: Queue, workers: StartWorkers, effects: Effects, write: Any
) -> None:
    workers()
    with StorageService(bus) as storage:
        running = queue.enqueue(write, "x")
        effects.wait_for("x:begun")
        running.cancel()
        effects.let_go("x")
        effects.wait_for("x:refused")
        assert f"job {running.id} was stopped" in words(bus, "x")
        assert not storage.retrieve("x")
        running = queue.enqueue(write, "y")
        effects.let_go("y")
        assert running.wait(10) == Outcome("finished")
        assert effects["y:written"] == 1
    for name in ("storage", "own"):
        bus.state(name).clear()


def test_the_callbacks_of_a_job_may_write(queue: Queue, workers: StartWorkers, effects: Effects, state: notify.State) -> None:
    workers()
    good = queue.enqueue(add, "a", on_success=rq.Callback(write_at_the_end))
    bad = queue.enqueue(fail, "b", on_failure=rq.Callback(write_at_the_end))
    assert good.wait(10) == Outcome("finished")
    assert bad.wait(10) == Outcome("failed", "RuntimeError: it went wrong", why=Why("raised"))
    assert state.snapshot() == {**OLD, good.id: 1, bad.id: 1}


def test_a_job_may_close_its_bus_and_the_next_job_of_the_worker_runs(
    bus: notify.Bus, queue: Queue, workers: StartWorkers, state: notify.State
) -> None:
    """What was queued is sent at the close, and the connection of the worker stays open."""
    with bus.subscribe("t") as events:
        workers()
        for name in ("first", "second"):
            assert queue.enqueue(publish_and_close, name).wait(10) == Outcome("finished")
        seen = [event.contents for event in iter(lambda: events.get(0.2), None) if isinstance(event, notify.Event)]
    assert seen == ["first queued", "first after", "second queued", "second after"]
    assert (state["first"], state["second"]) == (1, 1)
