"""The fork server, which forks the horses."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold, where
from tests.workers.conftest import Effects, StartWorkers, children, is_alive, result
from workers import Queue
from workers.horse import fork_server
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


@pytest.mark.usefixtures("each_window")
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


def test_what_horses_need_is_made_once_by_the_fork_server_whose_memory_they_share() -> None:
    prepared: list[int] = []

    def tell(end: socket.socket) -> NoReturn:
        end.sendall(",".join(map(str, prepared)).encode())
        os._exit(0)

    server = ForkServer(tell, prepare=lambda: prepared.append(os.getpid()))
    server.open()
    told = []
    for _ in range(2):
        _, end = server.fork()
        with end:
            told.append(end.recv(99).decode())
        server.wait()
        server.reap()
    (process,) = children(os.getpid())
    server.close()
    assert (told, prepared) == ([str(process)] * 2, [])


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


def wait_for_the_end(end: socket.socket) -> NoReturn:
    """The main function of a horse that does nothing."""
    end.recv(1)
    os._exit(0)


def two_of_one_process(tmp_path: Path) -> list[ForkServer]:
    """Two fork servers in one process. Each leaves a file behind as its last will."""

    def last_will(name: str) -> Callable[[bytes], object]:
        return lambda _: (tmp_path / name).touch()

    servers = [ForkServer(wait_for_the_end, last_will(name)) for name in ("first", "second")]
    ForkServer.open_together(servers)
    return servers


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: pytest may have threads
def test_closing_one_fork_server_of_several_leaves_the_others_their_horses(tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    first, second = two_of_one_process(tmp_path)
    (pid,) = set(children(os.getpid())) - before
    (first_horse, first_end), (second_horse, second_end) = first.fork(), second.fork()
    with first_end, second_end:
        first.close()
        assert (is_alive(first_horse), is_alive(second_horse), children(pid)) == (False, True, [second_horse])
        os.kill(second_horse, signal.SIGKILL)
        second.wait()
        assert second.reap().pid == second_horse
        again, end = second.fork()
        with end:
            assert is_alive(again)
            second.close()
    wait_until(lambda: not is_alive(pid) and not is_alive(again))
    assert list(tmp_path.iterdir()) == []  # no last will: both ended in order


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # as above
def test_twin_a_fork_server_that_closes_without_a_word_takes_all_horses_with_it(tmp_path: Path) -> None:
    """As when the process of the workers is killed: each has its last will."""
    first, second = two_of_one_process(tmp_path)
    (first_horse, first_end), (second_horse, second_end) = first.fork(), second.fork()
    with first_end, second_end:
        first._control_end.close()
        wait_until(lambda: not is_alive(first_horse) and not is_alive(second_horse))
        wait_until(lambda: {path.name for path in tmp_path.iterdir()} == {"first", "second"})
        first._control = None
        second.close()
    assert first._process is not None
    first._process.leave()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # as above
def test_a_frozen_fork_server_is_waited_for_once_however_many_workers_leave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "LEAVE_S", 1.0)
    servers = [ForkServer(wait_for_the_end, lambda _: (tmp_path / "will").touch()) for _ in range(4)]
    before = set(children(os.getpid()))
    ForkServer.open_together(servers)
    (pid,) = set(children(os.getpid())) - before
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    for server in servers:
        server.close()
    assert 0.9 < time.monotonic() - began < 2.8, "one second, and not three: one for each but the last"
    assert not is_alive(pid)
    assert list(tmp_path.iterdir()) == []
