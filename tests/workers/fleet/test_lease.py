"""Workers that are killed, frozen or cut off: their jobs are recovered in seconds, and once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rq
from rq import Retry

import notify
from notify.errors import ServerUnreachableError
from notify.testing import PrivateServer, wait_until
from tests.support.faults import server_ms
from tests.support.sample_jobs import add, hold, hold_and_fail
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, is_alive, mishaps
from workers import Job, JobDefinitionError, Outcome, Pool, Queue, Worker, WorkerOptions, rq_keys
from workers.fleet.lease import LEASE_S, Lease
from workers.fleet.reaper import Reaper
from workers.scripts.lease import LeaseScripts

SHORT_S = 2.0
"""A short lease, for tests that wait for its end."""


@pytest.fixture
def bystander(start_workers: StartWorkers, bus: notify.Bus) -> None:
    """Start a worker of another queue, which looks for dead workers."""
    start_workers(queues=("another",), lease_s=SHORT_S)
    wait_until(lambda: leases(bus), timeout_s=10, what="the bystander")


def leases(bus: notify.Bus) -> set[str]:
    """The workers that have a lease."""
    names: Any = bus.redis.zrange(bus.keys.leases, 0, -1)
    return {name.decode() for name in names}


def renew(bus: notify.Bus, worker: str) -> tuple[bool, str]:
    """Renew a lease of half a second. Return whether it is new, and the dead worker that was found."""
    renewal = LeaseScripts(bus.redis).renew_lease(worker, lease_ms=500, away_ms=1_000)
    return renewal.is_new, renewal.dead


def run_by(job: Job) -> str:
    """The worker that runs a job."""
    name: Any = job.connection.hget(job.key, "worker_name")
    return name.decode()


def written(job: Job) -> dict[bytes, bytes]:
    """The stored fields of a job without its heartbeat, which RQ writes before it checks anything."""
    fields: Any = job.connection.hgetall(job.key)
    return {name: value for name, value in fields.items() if name != b"last_heartbeat"}


def kill(pool: Pool) -> None:
    """Kill all workers of a pool (SIGKILL)."""
    for process in pool.processes:
        process.kill()
        process.wait()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process (SIGSTOP)."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def traces(bus: notify.Bus, worker: str) -> list[bytes]:
    """The keys that Redis still holds for a worker, or for any run."""
    found: list[bytes] = list(bus.redis.scan_iter("rq:execution:*"))
    members: Any = bus.redis.smembers(rq_keys.WORKERS) | bus.redis.smembers(rq_keys.workers("work"))
    return [*found, *bus.redis.zrange(rq_keys.started("work"), 0, -1), *(name for name in members if worker.encode() in name)]


@pytest.mark.any_server
def test_the_job_of_a_killed_worker_runs_again_on_another_one_in_seconds(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 22, with the default lease."""
    start_workers(queues=("another",))
    wait_until(lambda: leases(bus), timeout_s=10)
    job = queue.enqueue(hold, "x", retry=Retry(max=1))
    doomed = start_workers()
    effects.wait_for("x:begun")
    dead, horse = run_by(job), effects["x:pid"]
    start_workers()
    kill(doomed)
    killed_at = time.monotonic()
    effects.wait_for("x:begun", 2)
    again_s = time.monotonic() - killed_at
    assert LEASE_S - 2 < again_s < LEASE_S + 2
    assert not is_alive(horse)
    effects.let_go("x")
    assert job.wait(10) == Outcome("finished")
    assert (effects["x:begun"], effects["x:done"], len(job.results())) == (2, 1, 1)
    wait_until(lambda: traces(bus, dead) == [], what=f"the end of all traces of {dead}")
    assert dead not in leases(bus)


@pytest.mark.any_server
@pytest.mark.usefixtures("bystander")
def test_the_job_of_a_killed_worker_fails_without_a_retry(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.subscribe("job.work") as events:
        job, dependent = queue.enqueue(hold, "x"), None
        dependent = queue.enqueue(add, "after", depends_on=rq.job.Dependency(job, allow_failure=True))
        doomed = start_workers(lease_s=SHORT_S)
        effects.wait_for("x:begun")
        dead = run_by(job)
        kill(doomed)
        outcome = job.wait(10)
        (contents,) = mishaps(events, 1, quiet_s=SHORT_S)
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.need) == ("failed", f"its worker {dead} died", None)
    assert contents["why"].pop("rule") == "worker died"
    assert not any(contents.pop("why").values())
    assert contents.pop("worker") == dead
    assert {**contents, "at_ms": None} == {"job": job.id, "status": "failed", "reason": outcome.reason, "need": None, "at_ms": None}
    assert [result.exc_string for result in job.results()] == [outcome.reason]
    assert (job.id in queue.failed_job_registry, queue.job_ids) == (True, [dependent.id])
    wait_until(lambda: traces(bus, dead) == [], what=f"the end of all traces of {dead}")


@pytest.mark.any_server
@pytest.mark.usefixtures("bystander")
def test_the_job_of_a_killed_worker_with_a_retry_interval_is_scheduled(
    queue: Queue, start_workers: StartWorkers, effects: Effects, bus: notify.Bus
) -> None:
    job = queue.enqueue(hold, "x", retry=Retry(max=2, interval=60))
    doomed = start_workers(lease_s=SHORT_S)
    effects.wait_for("x:begun")
    kill(doomed)
    wait_until(lambda: job.get_status() == "scheduled", timeout_s=10)
    assert (queue.scheduled_job_registry.get_job_ids(), Job.fetch(job.id, connection=bus.redis).retries_left) == ([job.id], 1)


@pytest.mark.any_server
@pytest.mark.usefixtures("bystander")
def test_a_job_that_lost_its_service_with_its_worker_is_not_retried(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        job = queue.enqueue(hold, "x", needs="svc", retry=Retry(max=1))
        doomed = start_workers(lease_s=SHORT_S)
        effects.wait_for("x:begun")
        kill(doomed)
    outcome = job.wait(10)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["x:begun"]) == ("cancelled", "svc", 1)
    assert queue.job_ids == []


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("job_function", [hold, hold_and_fail])
def test_the_result_of_a_frozen_worker_is_refused_when_it_wakes_up(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, job_function: Any
) -> None:
    """Experiment 22: only the worker is frozen, and the process of its job goes on to the end."""
    job = queue.enqueue(job_function, "x", retry=Retry(max=1))
    (process,) = start_workers(lease_s=SHORT_S).processes
    effects.wait_for("x:begun")
    name = run_by(job)
    with frozen(process.pid):
        wait_until(lambda: name not in leases(bus), timeout_s=10)
        assert job.get_status() == "queued"
        effects.let_go("x")
        effects.wait_for("x:done")
        assert queue.pop_job_id() == job.id  # so that no worker runs it now
        before = written(job)
    wait_until(lambda: name in leases(bus), timeout_s=10, what="its new lease")
    assert queue.enqueue(add).wait(10) == Outcome("finished")  # the worker goes on with the next job
    assert written(job) == before
    assert job.results() == []

    def listed() -> list[int | None]:
        return [worker.pid for worker in rq.Worker.all(queue=rq.Queue("work", connection=bus.redis)) if worker.name == name]

    wait_until(lambda: listed() == [process.pid], what="its entry, which follows the new lease")


@pytest.mark.any_server
@pytest.mark.usefixtures("bystander")
def test_a_frozen_worker_stops_its_run_when_it_wakes_up(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    job = queue.enqueue(hold, "x")
    (process,) = start_workers(lease_s=SHORT_S).processes
    effects.wait_for("x:begun")
    with frozen(process.pid):
        outcome = job.wait(10)
        before = written(job)
        assert is_alive(effects["x:pid"])
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the run")
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert (job.outcome, written(job), effects["x:done"]) == (outcome, before, 0)
    assert len(job.results()) == 1


def test_a_dead_worker_is_reaped_once_by_many_reapers(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All reapers have read the job before the first one writes."""
    job = queue.enqueue(hold, "x", retry=Retry(max=5))
    doomed = start_workers()
    effects.wait_for("x:begun")
    dead = run_by(job)
    kill(doomed)
    all_have_read, retry = threading.Barrier(8), Job.retry

    def retry_together(*args: Any) -> None:
        all_have_read.wait(10)
        retry(*args)

    monkeypatch.setattr(Job, "retry", retry_together)
    threads = [threading.Thread(target=Reaper(bus.redis).reap, args=(dead, job.id)) for _ in range(all_have_read.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.job_ids == [job.id]
    assert Job.fetch(job.id, connection=bus.redis).retries_left == 4


def test_one_of_many_workers_reaps_a_dead_worker(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, capfd: pytest.CaptureFixture[str]
) -> None:
    start_workers(4, queues=("another",), lease_s=SHORT_S)
    wait_until(lambda: len(leases(bus)) == 4, timeout_s=15)
    job = queue.enqueue(hold, "x", retry=Retry(max=5))
    doomed = start_workers(lease_s=SHORT_S)
    effects.wait_for("x:begun")
    dead = run_by(job)
    kill(doomed)
    wait_until(lambda: dead not in leases(bus), timeout_s=10)
    assert (queue.job_ids, Job.fetch(job.id, connection=bus.redis).retries_left) == ([job.id], 4)
    assert capfd.readouterr().err.count(f"worker {dead} is dead") == 1


def test_a_dead_worker_has_one_reaper_unless_that_one_dies_too(bus: notify.Bus) -> None:
    renew(bus, "one")
    bus.redis.zadd(bus.keys.leases, {"dead": 1})
    assert [renew(bus, name)[1] for name in ("two", "one", "three")] == ["dead", "", ""]
    wait_until(lambda: renew(bus, "two")[1] == "dead", what="another turn")


@pytest.mark.parametrize(("silent_ms", "found"), [(50, "dead"), (5_000, "")])
def test_a_silent_worker_is_dead_unless_all_were_silent(bus: notify.Bus, silent_ms: int, found: str) -> None:
    """The two cases differ only in the time since any worker renewed its lease."""
    renew(bus, "one")
    bus.redis.zadd(bus.keys.leases, {"dead": 1})
    bus.redis.set(bus.keys.renewed, server_ms(bus.redis) - silent_ms, px=60_000)
    assert renew(bus, "one") == (False, found)


@pytest.mark.any_server
def test_no_worker_counts_as_dead_after_an_outage_of_the_server(own_server: PrivateServer, capfd: pytest.CaptureFixture[str]) -> None:
    with notify.connect(own_server.url) as bus:
        queue, effects = Queue("work", connection=bus.redis), Effects(bus)
        options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), lease_s=SHORT_S)
        with Pool(options, size=3) as pool:
            jobs = [queue.enqueue("tests.support.sample_jobs.sleep", 4.5 * SHORT_S, "x") for _ in range(3)]
            effects.wait_for("x:begun", 3)
            alive = leases(bus)
            own_server.kill()
            threading.Event().wait(3 * SHORT_S)
            own_server.restart()
            assert [job.wait(15) for job in jobs] == [Outcome("finished")] * 3
            assert (leases(bus), pool.check(), effects["x:begun"]) == (alive, 3, 3)
    assert "dead" not in capfd.readouterr().err


def test_a_worker_that_closes_leaves_no_lease(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    pool = start_workers()
    assert queue.enqueue(add).wait(10) == Outcome("finished")
    assert len(leases(bus)) == 1
    pool.close()
    assert leases(bus) == set()


@pytest.mark.any_server
@pytest.mark.usefixtures("bystander")
def test_a_worker_without_a_lease_leaves_its_job_started(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Experiment 22, the counter-example: RQ's own way, which checks every ten minutes."""
    job = queue.enqueue(hold, "x", retry=Retry(max=1))
    doomed = start_workers(lease_s=SHORT_S)
    effects.wait_for("x:begun")
    kill(doomed)
    bus.redis.zrem(bus.keys.leases, run_by(job))
    assert job.wait(3 * SHORT_S) is None
    assert job.get_status() == "started"


def test_a_worker_retries_to_register_again(bus: notify.Bus) -> None:
    tries: list[bool] = []

    def revive(_: object) -> None:
        tries.append(len(tries) == 0)
        if tries[-1]:
            raise ServerUnreachableError("no answer")

    lease = Lease(bus.redis, "w", lease_s=0.4, revive=revive, lead=lambda _: None)
    lease.open()
    try:
        bus.redis.zrem(bus.keys.leases, "w")
        wait_until(lambda: tries == [True, False], what="another try")
    finally:
        lease.close()


@pytest.mark.any_server
@pytest.mark.parametrize("lease_s", [0.0, -1.0, float("nan")])
def test_a_lease_of_no_seconds_is_refused(bus: notify.Bus, lease_s: float) -> None:
    with pytest.raises(JobDefinitionError, match="more than 0"):
        Worker(["work"], connection=bus.redis, modules=[SAMPLE], lease_s=lease_s)
