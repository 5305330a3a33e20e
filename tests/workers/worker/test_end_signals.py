"""Signals that a service manager, a terminal or a user sends to workers and to their horses, by real processes."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rq import Retry

import notify
from notify.testing import wait_until
from tests.support import failing_jobs
from tests.support.failing_jobs import hold_in
from tests.workers.conftest import Effects, StartWorkers, children
from workers import Outcome, Pool, Queue

pytestmark = pytest.mark.any_server

MODULES = (failing_jobs.__name__,)


def processes_of(pool: Pool) -> list[int]:
    """The worker, its fork server and its horse."""
    (worker,) = pool.processes
    (fork_server,) = children(worker.pid)
    return [worker.pid, fork_server, *children(fork_server)]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_job_finishes_when_all_processes_of_its_service_get(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, tmp_path: Path, signum: signal.Signals
) -> None:
    pool = start_workers(modules=MODULES)
    job = queue.enqueue(hold_in, str(tmp_path))
    effects.wait_for("x:begun")
    for pid in processes_of(pool):
        assert pid != effects["x:pid"] or len(processes_of(pool)) == 3
        os.kill(pid, signum)
    pool.stop()  # the pool has got the signal too, and passes it on
    pool.stop()
    wait_until(lambda: bus.redis.hget(f"rq:worker:{pool.names[0]}", "shutdown_requested_date"), what="the request")
    (tmp_path / "go").touch()
    assert job.wait(15) == Outcome("finished")
    pool.close()
    assert (pool.cut_count, [process.returncode for process in pool.processes]) == (0, [0])


def test_a_worker_without_a_limit_waits_for_a_job_and_one_with_a_limit_ends_it(
    queue: Queue, start_workers: StartWorkers, effects: Effects, tmp_path: Path
) -> None:
    pool = start_workers(modules=MODULES)
    job = queue.enqueue(hold_in, str(tmp_path))
    effects.wait_for("x:begun")
    pool.close(grace_s=0.2)
    assert (pool.cut_count, job.outcome.reason) == (1, f"its worker {pool.names[0]} was ended before the job was done")
    assert not (tmp_path / "done").exists()


def test_a_job_with_a_retry_left_is_queued_again_when_its_worker_is_ended_at_once(
    queue: Queue, start_workers: StartWorkers, effects: Effects, tmp_path: Path
) -> None:
    pool = start_workers(modules=MODULES)
    job = queue.enqueue(hold_in, str(tmp_path), retry=Retry(max=1))
    effects.wait_for("x:begun")
    pool.close(grace_s=0.0)
    assert (pool.cut_count, job.outcome, queue.get_job_ids()) == (1, None, [job.id])
    (tmp_path / "go").touch()
    start_workers(modules=MODULES)
    assert job.wait(15) == Outcome("finished")


def test_twin_a_process_with_the_default_action_dies_of_a_signal_to_all(
    queue: Queue, start_workers: StartWorkers, effects: Effects, tmp_path: Path
) -> None:
    """As the horse was before, and as it is when it gets a signal that it does not handle."""
    pool = start_workers(modules=MODULES)
    job = queue.enqueue(hold_in, str(tmp_path))
    effects.wait_for("x:begun")
    for pid in processes_of(pool):
        if pid != pool.processes[0].pid and pid == effects["x:pid"]:
            os.kill(pid, signal.SIGUSR2)
    pool.stop()
    outcome: Any = job.wait(15)
    assert (outcome.status, "signal" in outcome.reason) == ("failed", True)
