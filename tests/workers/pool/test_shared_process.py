"""Several workers in one process: for RQ, and for who stops or kills one of them, they are several."""

import os
import signal
from pathlib import Path

import pytest
import rq
from rq.command import send_kill_horse_command

import notify
from notify.process import memory_kib
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold, sleep, where
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, children, is_alive
from workers import Job, Outcome, Pool, Queue, WorkerOptions, find_workers, rq_keys, stop_worker
from workers.overview import WorkerInfo
from workers.pool import restarts

pytestmark = pytest.mark.any_server

SIZE = 3


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts without long pauses."""
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.05)


def horses_of(pool: Pool) -> list[int]:
    """The processes of the jobs, which have one fork server."""
    (process,) = pool.processes
    (fork_server,) = children(process.pid)
    return children(fork_server)


def started(bus: notify.Bus, pool: Pool) -> list[WorkerInfo]:
    """Wait until all workers of a pool are registered."""
    wait_until(lambda: len(find_workers(bus.redis)) == pool.size, timeout_s=20)
    return list(find_workers(bus.redis))


def status_of(job: Job) -> str:
    """Wait for the end of a job. Returns how it ended."""
    outcome = job.wait(15)
    assert outcome is not None
    return outcome.status


def test_workers_of_one_process_are_several_for_rq_and_each_has_its_lease_and_job(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(SIZE, per_process=SIZE)
    jobs = [queue.enqueue(hold, name) for name in "xyz"]
    for name in "xyz":
        effects.wait_for(f"{name}:begun")
    (process,) = pool.processes
    found = rq.Worker.all(connection=bus.redis)
    assert {worker.name for worker in found} == set(pool.names) == {worker.name for worker in find_workers(bus.redis)}
    assert ({worker.pid for worker in found}, {worker.get_state() for worker in found}) == ({process.pid}, {"busy"})
    assert {worker.get_current_job_id() for worker in found} == {job.id for job in jobs}
    assert bus.redis.zcard("notify:leases") == SIZE
    assert set(horses_of(pool)) == {effects[f"{name}:pid"] for name in "xyz"}
    for name in "xyz":
        effects.let_go(name)
    assert [job.wait(10) for job in jobs] == [Outcome("finished")] * SIZE


def test_workers_are_shared_out_among_as_few_processes_as_their_limit_allows(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(5, per_process=2)
    assert [len(process.names) for process in pool.processes] == [2, 2, 1]
    assert {worker.name for worker in started(bus, pool)} == set(pool.names)


def test_each_worker_reports_its_part_of_the_memory_of_the_process(bus: notify.Bus, start_workers: StartWorkers) -> None:
    found = started(bus, start_workers(SIZE, per_process=SIZE))
    if Path("/proc/self/smaps_rollup").exists():
        wait_until(lambda: all(worker.memory_kib for worker in find_workers(bus.redis)), timeout_s=10)
        parts = [worker.memory_kib or 0 for worker in find_workers(bus.redis)]
        assert sum(parts) < 1.5 * (memory_kib(found[0].pid) or 0)  # not the whole process for each


def test_a_stop_a_kill_and_a_death_hit_the_job_of_one_worker_and_no_other(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(4, per_process=4)
    stopped, killed, dead, other = (queue.enqueue(hold, name) for name in ("stopped", "killed", "dead", "other"))
    for name in ("stopped", "killed", "dead", "other"):
        effects.wait_for(f"{name}:begun")
    stopped.cancel()
    assert stopped.wait(10) is not None
    send_kill_horse_command(bus.redis, str(killed.worker_name or bus.redis.hget(killed.key, "worker_name").decode()))  # type: ignore[union-attr]  # bytes
    os.kill(effects["dead:pid"], signal.SIGKILL)
    assert [status_of(killed), status_of(dead)] == ["failed"] * 2
    assert other.outcome is None
    effects.let_go("other")
    assert other.wait(10) == Outcome("finished")
    after = [queue.enqueue(where) for _ in range(8)]
    assert [job.wait(10) for job in after] == [Outcome("finished")] * 8
    assert len(rq.Worker.all(connection=bus.redis)) == 4
    assert pool.check() == 4


def test_a_worker_that_is_told_to_end_finishes_its_job_and_the_others_go_on(bus: notify.Bus, queue: Queue, effects: Effects) -> None:
    said: list[str] = []
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,))
    with Pool(options, size=SIZE, per_process=SIZE, report=said.append) as pool:
        job = queue.enqueue(hold, "x")
        effects.wait_for("x:begun")
        busy = next(worker.name for worker in started(bus, pool) if worker.job)
        wait_until(lambda: stop_worker(bus.redis, busy), timeout_s=10)
        effects.let_go("x")
        assert job.wait(10) == Outcome("finished")
        wait_until(lambda: pool.check() == SIZE - 1, timeout_s=10)
        assert said == [f"worker {busy} was told to end, and is not started again"]
        assert {worker.name for worker in find_workers(bus.redis)} == set(pool.names) - {busy}
        assert len(horses_of(pool)) <= SIZE - 1
        jobs = [queue.enqueue(where) for _ in range(4)]
        assert [each.wait(10) for each in jobs] == [Outcome("finished")] * 4
        for name in set(pool.names) - {busy}:
            assert stop_worker(bus.redis, name)
        wait_until(lambda: pool.check() == 0, timeout_s=10)
        assert sorted(said) == sorted(f"worker {name} was told to end, and is not started again" for name in pool.names)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_workers_of_the_process_after_their_jobs(
    queue: Queue, start_workers: StartWorkers, effects: Effects, signum: signal.Signals
) -> None:
    pool = start_workers(SIZE, per_process=SIZE)
    jobs = [queue.enqueue(hold, name) for name in "xy"]
    for name in "xy":
        effects.wait_for(f"{name}:begun")
    (process,) = pool.processes
    for _ in range(3):
        process.send_signal(signum)
    pool.stop()
    assert pool.count_busy(timeout_s=10) == (2, 0)
    late = queue.enqueue(add)
    for name in "xy":
        effects.let_go(name)
    assert process.wait(15) == 0
    assert [job.outcome for job in jobs] == [Outcome("finished")] * 2
    assert (queue.get_job_ids(), pool.check(), pool.cut_count) == ([late.id], 0, 0)


def test_the_end_of_the_grace_ends_the_jobs_of_all_workers_of_the_process(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(SIZE, per_process=SIZE)
    jobs = [queue.enqueue(hold, name) for name in "xy"]
    for name in "xy":
        effects.wait_for(f"{name}:begun")
    pool.close(grace_s=0.1)
    assert (pool.cut_count, pool.processes[0].returncode) == (2, 0)
    assert all(job.outcome and "was ended before the job was done" in job.outcome.reason for job in jobs)
    assert not any(is_alive(effects[f"{name}:pid"]) for name in "xy")


def test_a_burst_ends_when_all_workers_of_the_process_find_the_queues_empty(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    jobs = [queue.enqueue(add, f"n{number}") for number in range(40)]
    pool = start_workers(SIZE, per_process=SIZE, burst=True)
    wait_until(lambda: pool.check() == 0, timeout_s=20)
    assert {job.outcome for job in jobs} == {Outcome("finished")}
    assert (pool.processes[0].returncode, rq.Worker.all(connection=bus.redis)) == (0, [])


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("window", [1, 32])
def test_no_job_is_lost_or_runs_twice_when_the_process_of_several_workers_is_killed(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, window: int
) -> None:
    pool = start_workers(SIZE, per_process=SIZE, window=window)
    started(bus, pool)
    jobs = [queue.enqueue(sleep, 0.002, f"n{number}") for number in range(300)]
    wait_until(lambda: effects["n100:begun"], timeout_s=20)
    (process,) = pool.processes
    (fork_server,) = children(process.pid)
    horses = children(fork_server)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, [fork_server, *horses])), timeout_s=10)
    wait_until(lambda: pool.check() == SIZE and all(job.outcome for job in jobs), timeout_s=40)
    assert {effects[f"n{number}:begun"] for number in range(300)} <= {0, 1}
    failed = [job for job in jobs if job.outcome != Outcome("finished")]
    assert set(map(status_of, failed)) <= {"failed"}
    assert len(failed) <= SIZE  # one in the hand of each horse
    assert bus.redis.exists(rq_keys.started("work")) == 0


@pytest.mark.usefixtures("_soon")
def test_workers_whose_fork_server_was_killed_fail_their_jobs_and_are_started_again(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(2, per_process=2, log_level="CRITICAL")
    jobs = [queue.enqueue(hold, name) for name in "xy"]
    for name in "xy":
        effects.wait_for(f"{name}:begun")
    (process,) = pool.processes
    (fork_server,) = children(process.pid)
    os.kill(fork_server, signal.SIGKILL)
    assert list(map(status_of, jobs)) == ["failed"] * 2
    wait_until(lambda: pool.check() == 2 and pool.processes[0].pid != process.pid, timeout_s=20)
    assert queue.enqueue(add).wait(15) == Outcome("finished")


@pytest.mark.usefixtures("_soon")
def test_a_lone_worker_whose_fork_server_was_killed_is_started_again_too(queue: Queue, start_workers: StartWorkers) -> None:
    pool = start_workers(log_level="CRITICAL")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    (process,) = pool.processes
    (fork_server,) = children(process.pid)
    horses = children(fork_server)
    os.kill(fork_server, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, [fork_server, *horses])))
    queue.enqueue(add)  # wakes it: then it finds that it can run nothing
    wait_until(lambda: pool.check() == 1 and pool.processes[0].pid != process.pid, timeout_s=20)
    assert queue.enqueue(add).wait(15) == Outcome("finished")


def test_a_process_of_workers_that_cannot_start_says_why_once(bus: notify.Bus) -> None:
    said: list[str] = []
    options = WorkerOptions(settings=bus.settings, queues=("work",), modules=("nowhere",))
    with Pool(options, size=SIZE, per_process=SIZE, max_restarts=3, report=said.append) as pool:
        wait_until(lambda: pool.check() and said, timeout_s=15)
    assert len(said) == 1
    assert "cannot import 'nowhere'" in said[0]
