"""The ends of a pool's workers: those that were told to, and those that were not."""

import os
import signal

import pytest

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import Outcome, Pool, Queue, WorkerOptions, WorkersFailedError, rq_keys
from workers.pool import restarts

pytestmark = pytest.mark.any_server

NOBODY = notify.Settings(url="unix:///nowhere/redis.sock")


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts without long pauses."""
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.05)


def fails(pool: Pool) -> str:
    """Check a pool until it gives up. Returns why."""

    def problem() -> str:
        try:
            assert pool.check(), "the pool says that all have ended in order"
        except WorkersFailedError as exc:
            return str(exc)
        return ""

    return wait_until(problem, timeout_s=20)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    ("settings", "modules", "reason"),
    [(None, ("nowhere",), "cannot import 'nowhere'"), (NOBODY, (SAMPLE,), "no answer from unix:///nowhere/redis.sock")],
    ids=["a failing import", "an outage"],
)
def test_workers_that_die_at_their_start_end_the_pool_with_the_reason_told_once(
    bus: notify.Bus, settings: notify.Settings | None, modules: tuple[str, ...], reason: str
) -> None:
    said: list[str] = []
    options = WorkerOptions(settings=settings or bus.settings, queues=("work",), modules=modules)
    with Pool(options, size=2, max_restarts=1, report=said.append) as pool:
        assert reason in fails(pool)
    assert [line for line in said if reason in line] == said
    assert len(said) == 1


@pytest.mark.usefixtures("_soon")
def test_all_workers_killed_at_their_start_are_started_again(queue: Queue, start_workers: StartWorkers) -> None:
    pool = start_workers(2)
    for process in pool.processes:
        process.kill()
        process.wait()
    assert pool.check() == 2
    wait_until(lambda: pool.check() == 2 and queue.enqueue(add).wait(0.2) == Outcome("finished"), timeout_s=20)


@pytest.mark.usefixtures("_soon")
def test_without_restarts_workers_that_are_killed_end_the_pool(bus: notify.Bus) -> None:
    """The twin: nothing is started again, and nobody works."""
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,))
    with Pool(options, size=1, max_restarts=0, report=str) as pool:
        pool.processes[0].kill()
        assert "killed by signal 9 (SIGKILL)" in fails(pool)


@pytest.mark.usefixtures("_soon")
def test_one_of_several_that_dies_is_started_again_and_the_others_go_on(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(2)
    job = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    busy = next(name for name in pool.names if queue.connection.hget(rq_keys.worker(name), "current_job"))
    other = next(process for process, name in zip(pool.processes, pool.names, strict=True) if name != busy)
    other.kill()
    other.wait()
    wait_until(lambda: pool.check() == 2 and all(process.poll() is None for process in pool.processes), timeout_s=10)
    assert busy in pool.names
    effects.let_go("x")
    assert job.wait(10) == Outcome("finished")


def test_a_worker_that_was_told_to_end_is_not_started_again(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(2)
    wait_until(lambda: bus.redis.scard(rq_keys.WORKERS) == 2, timeout_s=15)
    first, second = pool.processes
    os.kill(first.pid, signal.SIGTERM)
    wait_until(lambda: pool.check() == 1, timeout_s=10)
    assert list(pool.processes) == [first, second]
    os.kill(second.pid, signal.SIGTERM)
    wait_until(lambda: pool.check() == 0, timeout_s=10)


def test_the_pool_knows_how_many_jobs_are_left_to_finish(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers(3)
    for name in ("x", "y"):
        queue.enqueue(hold, name)
        effects.wait_for(f"{name}:begun")
    pool.stop()
    assert pool.count_busy(timeout_s=10) == (2, 0)
    for name in ("x", "y"):
        effects.let_go(name)
