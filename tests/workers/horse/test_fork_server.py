"""The fork server, which forks the horses."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold, where
from tests.workers.conftest import Effects, StartWorkers, children, is_alive, result
from workers import Queue
from workers.horse.fork_server import ForkServer

pytestmark = pytest.mark.any_server


def test_the_process_of_the_jobs_is_not_forked_by_a_process_with_threads(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    pid, _ = result(queue.enqueue(where))
    (fork_server,) = children(worker.pid)
    assert children(fork_server) == [pid]
    assert len(list(Path(f"/proc/{fork_server}/task").iterdir())) == 1
    assert len(list(Path(f"/proc/{worker.pid}/task").iterdir())) > 1


def test_nothing_is_forked_for_jobs_before_there_is_one(bus: notify.Bus, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    wait_until(lambda: bus.redis.client_list(_type="pubsub"), timeout_s=10)
    (fork_server,) = wait_until(lambda: children(worker.pid), timeout_s=10)
    assert children(fork_server) == []


def test_a_worker_whose_fork_server_was_killed_fails_the_job_in_hand_and_ends(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, capfd: pytest.CaptureFixture[str]
) -> None:
    (worker,) = start_workers().processes
    in_hand, next_one = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    (fork_server,) = children(worker.pid)
    os.kill(fork_server, signal.SIGKILL)
    assert in_hand.wait(10).status == "failed"
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job")
    worker.wait(10)
    assert "HorseError" in capfd.readouterr().err
    assert queue.get_job_ids() == [next_one.id]
    assert rq.Worker.all(connection=bus.redis) == []


def test_the_fork_server_ends_with_its_worker(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    pid, _ = result(queue.enqueue(where))
    (fork_server,) = children(worker.pid)
    worker.kill()
    wait_until(lambda: not is_alive(fork_server) and not is_alive(pid), timeout_s=5)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: pytest may have threads
def test_a_fork_server_that_never_forked_ends_when_it_is_closed() -> None:
    def run_jobs(end: Any) -> Any:
        raise AssertionError("nothing is to be forked")

    before = set(children(os.getpid()))
    fork_server = ForkServer(run_jobs)
    fork_server.open()
    (pid,) = set(children(os.getpid())) - before
    fork_server.close()
    fork_server.close()
    assert not is_alive(pid)
