"""A pool of worker processes: started, started again, and stopped together."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold, tick
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, command_line, is_alive
from workers import JobDefinitionError, Outcome, Pool, Queue, WorkerOptions, rq_keys
from workers.pool.restarts import FIRST_PAUSE_S

pytestmark = pytest.mark.any_server


SECRET = "tell-nobody"


def options(**more: object) -> WorkerOptions:
    given = {"settings": notify.Settings(url="unix:///nowhere"), "queues": ("work",), "modules": (SAMPLE,), **more}
    return WorkerOptions(**given)  # type: ignore[arg-type]  # each test knows what it gives


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_workers_is_refused(size: int) -> None:
    with pytest.raises(JobDefinitionError, match="at least 1"):
        Pool(options(), size=size)


def test_a_process_without_workers_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match="per_process is 0"):
        Pool(options(), size=2, per_process=0)


def test_a_pool_without_queues_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match="at least one queue"):
        Pool(options(queues=()))


def test_a_pool_has_one_worker_per_core_by_default() -> None:
    assert Pool(options()).size == os.cpu_count()


def test_options_are_the_same_after_json() -> None:
    given = options(burst=True, log_level="INFO")
    assert msgspec.json.decode(msgspec.json.encode(given), type=WorkerOptions) == given


def test_the_workers_of_a_pool_share_its_queues(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers(2)
    jobs = [queue.enqueue(hold, name) for name in "xy"]
    effects.wait_for("x:begun")
    effects.wait_for("y:begun")
    assert (pool.check(), len(pool.processes)) == (2, 2)
    for name in "xy":
        effects.let_go(name)
    assert [job.wait(10) for job in jobs] == [Outcome("finished")] * 2


def test_a_pool_knows_its_workers_by_name(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(2)
    wait_until(lambda: bus.redis.scard(rq_keys.WORKERS) == 2, timeout_s=15)
    assert {f"rq:worker:{name}".encode() for name in pool.names} == bus.redis.smembers(rq_keys.WORKERS)


@pytest.mark.parametrize("per_process", [1, 2])
def test_workers_of_a_pool_tell_rq_their_address_although_they_connect_late(
    bus: notify.Bus, start_workers: StartWorkers, per_process: int
) -> None:
    """Not before they have forked the fork server of the jobs, which would keep a copy of all that connecting writes to."""
    start_workers(2, per_process=per_process)
    wait_until(lambda: bus.redis.scard(rq_keys.WORKERS) == 2, timeout_s=15)
    mine = next(str(client["addr"]) for client in bus.redis.client_list() if client["name"] == bus.redis.client_getname())
    addresses = [worker.ip_address for worker in rq.Worker.all(connection=bus.redis)]
    assert len(addresses) == 2
    assert all(address.partition(":")[0] == mine.partition(":")[0] for address in addresses), addresses


def test_a_worker_that_falls_is_started_again(queue: Queue, start_workers: StartWorkers) -> None:
    pool = start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    (fallen,) = pool.processes
    fallen.kill()
    fallen.wait()
    wait_until(lambda: pool.check() == 1 and pool.processes[0].pid != fallen.pid, timeout_s=FIRST_PAUSE_S + 2, what="the new worker")
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def test_a_limit_below_no_restarts_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match="max_restarts is -1"):
        Pool(options(), max_restarts=-1)


def test_a_burst_ends_by_itself_and_no_worker_is_started_again(queue: Queue, start_workers: StartWorkers) -> None:
    jobs = [queue.enqueue(add) for _ in range(5)]
    pool = start_workers(2, burst=True)
    wait_until(lambda: pool.check() == 0, timeout_s=15, what="the end of the burst")
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 5
    assert [process.returncode for process in pool.processes] == [0, 0]
    assert pool.check() == 0


def test_stopping_asks_all_and_waits_for_none(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers(2)
    jobs = [queue.enqueue(hold, "x") for _ in range(2)]
    effects.wait_for("x:begun", 2)
    pool.stop()
    assert pool.check() == 2  # they are busy with the current job
    assert pool.count_busy(timeout_s=10) == (2, 0)
    effects.let_go("x", 2)
    assert [process.wait(10) for process in pool.processes] == [0, 0]
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 2
    assert pool.check() == 0  # and nobody is started again


def test_closing_waits_for_the_jobs_in_hand(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers()
    in_hand, next_one = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    pool.stop()
    effects.let_go("x")
    pool.close()
    pool.close()
    assert (in_hand.outcome, next_one.outcome) == (Outcome("finished"), None)


def test_closing_ends_a_worker_that_is_busy_too_long_and_its_job(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    pool = start_workers()
    queue.enqueue(tick, "x")
    effects.wait_for("x:begun")
    pool.close(grace_s=0.1)
    assert (pool.processes[0].returncode, pool.cut_count) == (0, 1)
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")


def test_jobs_print_to_the_stdout_given_to_the_pool(bus: notify.Bus, start_workers: StartWorkers, tmp_path: Path) -> None:
    from_workers = tmp_path / "out"
    with from_workers.open("wb") as out, bus.service("storage"):
        bus.state("storage")["temperatures"] = {}
        job = Queue("temperature", connection=bus.redis).enqueue("workers.temperature.log_temperature", "now", "warm")
        start_workers(queues=("temperature",), modules=("workers.temperature",), stdout=out.fileno())
        assert job.wait(10) == Outcome("finished")
    assert from_workers.read_text() == '{"temperatures":{"now":"warm"}}\n'


def test_no_password_shows_in_the_list_of_processes_or_in_their_output(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # so that the process is still there to be looked at
        port = silent.getsockname()[1]
        settings = notify.Settings(url=f"redis://:{SECRET}@127.0.0.1:{port}/0", command_timeout_s=1.0)
        pool = Pool(options(settings=settings), size=1, report=told.append)
        pool.open()
        (process,) = pool.processes
        shown = wait_until(lambda: command_line(process.pid))
        assert "notify_workers.py workers.pool" in shown or "notify: " in shown or "rq:worker:" in shown
        assert SECRET not in shown
        assert process.wait(10) == 1
        pool.check()
        pool.close()
    (said,) = told
    assert f"no answer from redis://***@127.0.0.1:{port}/0" in said
    assert SECRET not in said + capfd.readouterr().err


def test_ctrl_c_in_the_terminal_is_not_for_the_workers(start_workers: StartWorkers) -> None:
    (process,) = start_workers().processes
    assert os.getsid(process.pid) != os.getsid(0)
    wait_until(lambda: os.getsid(process.pid) == process.pid, what="a session of its own")


OWNER = f"""
import sys, threading, notify
from workers import Pool, WorkerOptions
pool = Pool(WorkerOptions(settings=notify.Settings(url=sys.argv[1]), queues=("work",), modules=({SAMPLE!r},)), size=2)
pool.open()
print(*(process.pid for process in pool.processes), flush=True)
threading.Event().wait(20)
"""


@pytest.mark.parametrize("when", ["at once", "in the middle of a job"])
def test_workers_end_with_the_process_that_started_them(queue: Queue, bus: notify.Bus, effects: Effects, when: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, bus.settings.url or ""], stdout=subprocess.PIPE, text=True) as owner:
        workers = [int(pid) for pid in (owner.stdout or sys.stdin).readline().split()]
        if when == "in the middle of a job":
            queue.enqueue(hold, "x")
            effects.wait_for("x:begun")
        owner.kill()
    effects.let_go("x")  # the current job may finish
    try:
        wait_until(lambda: not any(map(is_alive, workers)), timeout_s=10, what="the end of the workers")
    finally:
        for pid in filter(is_alive, workers):
            os.kill(pid, signal.SIGKILL)
