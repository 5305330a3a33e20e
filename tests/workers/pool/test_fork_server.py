"""The fork server of a pool: its workers are its forks, and their deaths are known by it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, command_line, is_alive
from workers import Outcome, Pool, Queue, WorkerOptions
from workers.pool import WorkerForkServer, restarts

pytestmark = [pytest.mark.any_server, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def memory_of(pid: int) -> dict[str, int]:
    """The numbers of ``smaps_rollup``, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): int(value) for name, value, *_ in map(str.split, lines)}


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def pipes_of(pid: int) -> set[str]:
    return {link for fd in Path(f"/proc/{pid}/fd").iterdir() if (link := os.readlink(fd)).startswith("pipe:")}


def test_the_workers_of_a_pool_are_forks_of_one_process_and_share_its_memory(queue: Queue, start_workers: StartWorkers) -> None:
    pool = start_workers(2)
    assert [job.wait(10) for job in [queue.enqueue(add) for _ in range(10)]] == [Outcome("finished")] * 10
    (server,) = {parent_of(process.pid) for process in pool.processes}
    assert parent_of(server) == os.getpid()
    for process in pool.processes:
        memory = memory_of(process.pid)
        assert memory["Shared_Dirty"] > memory["Private_Dirty"]


@pytest.mark.parametrize("per_process", [1, 2])
def test_the_fork_server_of_a_pool_with_one_process_becomes_that_one(
    queue: Queue, start_workers: StartWorkers, monkeypatch: pytest.MonkeyPatch, per_process: int
) -> None:
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.05)
    pool = start_workers(per_process, per_process=per_process)
    (first,) = pool.processes
    assert parent_of(first.pid) == os.getpid()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: pool.check() == per_process and pool.processes[0].pid != first.pid, timeout_s=15)
    assert parent_of(pool.processes[0].pid) == os.getpid()
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def test_a_process_of_its_own_shares_nothing_that_it_wrote(bus: notify.Bus) -> None:
    """The twin: a worker that is no fork has imported everything itself, twice the memory that is its own in a fork."""
    with subprocess.Popen([sys.executable, "-c", "import workers.pool; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as alone:
        wait_until(lambda: memory_of(alone.pid).get("Private_Dirty", 0) > 20_000, timeout_s=20)
        assert memory_of(alone.pid)["Shared_Dirty"] == 0
        alone.kill()


def test_a_worker_that_was_killed_is_no_other_process_until_the_pool_knows(start_workers: StartWorkers) -> None:
    (process,) = start_workers().processes
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: state_of(process.pid) == "Z", what="the death of the worker")  # dead, and not reaped
    assert process.wait(5) == -signal.SIGKILL
    wait_until(lambda: state_of(process.pid) == "gone", what="the end of its process id")
    process.send_signal(signal.SIGTERM)  # to nobody


def test_a_worker_holds_no_pipe_of_another_one(start_workers: StartWorkers) -> None:
    """Otherwise the pool would take a dead worker for a living one."""
    first, second = (process.pid for process in start_workers(2).processes)
    assert pipes_of(first)
    wait_until(lambda: not pipes_of(first) & pipes_of(second), what="the closing of what a fork inherits")


def test_waiting_for_a_worker_that_works_has_a_limit(start_workers: StartWorkers) -> None:
    (process,) = start_workers().processes
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)


def test_a_pool_whose_fork_server_is_killed_goes_on_with_another_one(
    queue: Queue, start_workers: StartWorkers, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.05)
    pool = start_workers(2)
    job = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    before = [process.pid for process in pool.processes]
    os.kill(parent_of(before[0]), signal.SIGKILL)
    effects.let_go("x")  # the worker finishes its job, as at SIGTERM
    assert job.wait(10) == Outcome("finished")
    wait_until(lambda: pool.check() == 2 and not any(process.pid in before for process in pool.processes), timeout_s=15)
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert not any(map(is_alive, before))


def test_a_process_with_threads_is_not_forked() -> None:
    server, done = WorkerForkServer(), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        server.fork()
        (child,) = set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
        assert wait_until(lambda: "workers.pool" in command_line(child) or "notify: forks" in command_line(child))
    finally:
        done.set()
        thread.join()
        server.close()


ALONE = """
import os, sys
from workers.pool import WorkerForkServer
server = WorkerForkServer()
server.fork()
print(open("/proc/self/task/%d/children" % os.getpid()).read(), flush=True)
sys.stdin.read()
server.close()
"""


def test_a_process_with_one_thread_shares_its_memory_with_the_fork_server() -> None:
    with subprocess.Popen([sys.executable, "-c", ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert memory_of(child)["Shared_Dirty"] > 15_000
        owner.communicate("", timeout=10)
    assert (owner.returncode, state_of(child)) == (0, "gone")


def test_a_worker_runs_what_its_modules_asked_for_at_exit(bus: notify.Bus, tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text(
        f"import atexit, pathlib\nfrom workers import job\n\n@job('work')\ndef stay():\n    pass\n\n"
        f"atexit.register(pathlib.Path({str(tmp_path / 'left')!r}).touch)\n"
    )
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE, "leaving"), burst=True, path=(str(tmp_path),))
    with Pool(options, size=1) as pool:
        assert pool.processes[0].wait(20) == 0
    assert (tmp_path / "left").exists()
