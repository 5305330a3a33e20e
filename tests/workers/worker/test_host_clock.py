"""Experiment 30: the clock of a worker's host is wrong. No run of a living worker is taken for abandoned, and so none runs twice."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest
import rq
from rq import Retry
from rq.registry import clean_registries

import notify
from notify.errors import ServerUnreachableError
from notify.testing import wait_until
from tests.support.faults import commands_during, server_ms
from tests.support.sample_jobs import add, hold
from tests.support.skewed_clock import skewed
from tests.support.workers_here import ModelWorker, act, make_worker
from tests.workers.conftest import Effects, StartWorkers
from workers import Job, Outcome, Queue, rq_keys
from workers.rq import with_execution
from workers.scripts.lease import LeaseScripts
from workers.scripts.runs import RunScripts

AHEAD_S = 120.0


def maintained(bus: notify.Bus, queue: str = "work") -> Any:
    """A condition that is true when a worker has done the whole maintenance of a queue after this call."""
    bus.redis.zadd(rq_keys.finished(queue), {"old": 1})
    lock = rq.Queue(queue, connection=bus.redis).registry_cleaning_key

    def is_done() -> bool:
        return bus.redis.zscore(rq_keys.finished(queue), "old") is None and not bus.redis.exists(lock)

    return is_done


@pytest.fixture
def running(bus: notify.Bus) -> Iterator[tuple[ModelWorker, Job]]:
    """A worker in this process that has claimed a job, and the job."""
    queue = Queue("q0", connection=bus.redis)
    job = queue.enqueue(act, retry=Retry(max=1))
    worker = make_worker(bus, "w0")
    LeaseScripts(bus.redis).renew_lease("w0", lease_ms=60_000, away_ms=2_000)
    claimed, _ = worker.dequeue_job_and_maintain_ttl(None)
    assert claimed.id == job.id
    yield worker, job
    worker.teardown()


def heard_of_for_s(job: Job, fence: str) -> float:
    """For how many seconds the run counts as living, by the clock of the server and the registry of RQ."""
    score: Any = job.connection.zscore(rq_keys.started(job.origin), f"{job.id}:{fence}")
    return float(score) - server_ms(job.connection) / 1000


def fence_of(job: Job) -> str:
    fence: Any = job.connection.hget(job.key, "fence")
    return str(fence.decode())


@pytest.mark.parametrize("ahead_s", [AHEAD_S, -AHEAD_S])
def test_a_worker_with_a_wrong_clock_and_others_leave_each_others_runs_alone(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, ahead_s: float
) -> None:
    jobs = {name: queue.enqueue(hold, name, retry=Retry(max=1)) for name in ("x", "y")}
    start_workers()
    effects.wait_for("x:begun")
    start_workers(ahead_s=ahead_s)
    effects.wait_for("y:begun")
    for wrong_s in (ahead_s, 0):
        is_maintained = maintained(bus)
        start_workers(ahead_s=wrong_s)
        wait_until(is_maintained, timeout_s=15, what="the maintenance of a worker")
    for name, job in jobs.items():
        assert (job.get_status(), effects[f"{name}:begun"]) == ("started", 1)
        effects.let_go(name)
        assert job.wait(15) == Outcome("finished")
        assert (effects[f"{name}:begun"], effects[f"{name}:done"]) == (1, 1)


def test_the_maintenance_of_a_host_whose_clock_is_ahead_keeps_a_run(running: tuple[ModelWorker, Job], bus: notify.Bus) -> None:
    worker, job = running
    with skewed(AHEAD_S):
        worker.clean_registries()
        assert (worker.queues[0].started_job_registry.count, job.get_status()) == (1, "started")
    assert heard_of_for_s(job, fence_of(job)) > 60


def test_the_maintenance_of_plain_rq_takes_such_a_run_for_abandoned(running: tuple[ModelWorker, Job]) -> None:
    """The twin: RQ's own maintenance on a host whose clock is ahead. The job is enqueued again, and would run twice at once."""
    worker, job = running
    with skewed(AHEAD_S):
        clean_registries(worker.queues[0])
    assert job.get_status() == "queued"


@pytest.mark.parametrize("ahead_s", [AHEAD_S, -AHEAD_S])
def test_a_heartbeat_from_a_host_with_a_wrong_clock_has_the_time_of_the_server(running: tuple[ModelWorker, Job], ahead_s: float) -> None:
    worker, job = running
    fence = fence_of(job)
    with skewed(ahead_s):
        worker.send_run_heartbeat(job, 5.0)
    assert 60 < heard_of_for_s(job, fence) <= 91


def test_the_heartbeat_of_plain_rq_has_the_time_of_its_host(running: tuple[ModelWorker, Job]) -> None:
    """The twin: after it, every other worker takes the run for abandoned, unless it asks for the lease."""
    worker, job = running
    fence = fence_of(job)
    with skewed(-AHEAD_S):
        worker.ensure_execution()
        with_execution(partial(rq.Worker.maintain_heartbeats, worker), worker.execution)(job)
    assert heard_of_for_s(job, fence) < 0
    clean_registries(worker.queues[0])
    assert job.get_status() == "queued"


def test_a_heartbeat_is_one_command(running: tuple[ModelWorker, Job], bus: notify.Bus) -> None:
    worker, job = running
    worker.send_run_heartbeat(job, 1.0)  # loads the script
    commands = commands_during(bus.redis, lambda: worker.send_run_heartbeat(job, 5.0))
    assert [command.split()[0] for command in commands] == ["EVALSHA"]
    assert bus.redis.hget(worker.key, "current_job_working_time") == b"5.000000"


def test_a_heartbeat_that_comes_after_the_end_of_its_run_leaves_no_trace(running: tuple[ModelWorker, Job], bus: notify.Bus) -> None:
    worker, job = running
    fence = fence_of(job)
    worker.execute_job(job, worker.queues[0])
    worker._loop.record_returned()
    run = mock.Mock(job_id=job.id, fence=fence)
    worker._current_run.run = run
    worker.send_run_heartbeat(job, 5.0)
    assert (job.get_status(), bus.redis.zcard(rq_keys.started("q0"))) == ("finished", 0)
    bus.redis.delete(job.key)
    worker.send_run_heartbeat(job, 5.0)
    assert not bus.redis.exists(job.key, rq_keys.execution(f"{job.id}:{fence}"), rq_keys.executions(job.id))


def test_the_run_of_a_worker_without_a_lease_is_abandoned_when_its_time_is_over(running: tuple[ModelWorker, Job], bus: notify.Bus) -> None:
    """A worker of plain RQ has no lease; one of ours that lost it is reaped."""
    worker, job = running
    bus.redis.delete(bus.keys.leases)
    entry = f"{job.id}:{fence_of(job)}"
    bus.redis.zadd(rq_keys.started("q0"), {entry: time.time() - 1})
    worker.clean_registries()
    assert (job.get_status(), worker.queues[0].job_ids) == ("queued", [job.id])


def test_an_entry_of_an_earlier_run_does_not_end_the_run_that_has_the_job(running: tuple[ModelWorker, Job], bus: notify.Bus) -> None:
    worker, job = running
    bus.redis.zadd(rq_keys.started("q0"), {f"{job.id}:earlier": 1})
    worker.clean_registries()
    assert (job.get_status(), bus.redis.zcard(rq_keys.started("q0"))) == ("started", 1)


def test_a_job_that_plain_rq_has_just_taken_is_not_stuck_by_a_wrong_clock(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    taken = queue.intermediate_queue
    with skewed(-AHEAD_S):
        assert taken.set_first_seen(job.id)
    assert not taken.should_be_cleaned_up(job.id)
    bus.redis.set(taken.get_first_seen_key(job.id), time.time() - 61, ex=60)
    with skewed(-AHEAD_S):
        assert taken.should_be_cleaned_up(job.id)


def test_a_heartbeat_while_the_server_is_away_does_nothing(running: tuple[ModelWorker, Job]) -> None:
    worker, job = running
    with mock.patch.object(RunScripts, "run", side_effect=ServerUnreachableError("away")):
        worker.send_run_heartbeat(job, 1.0)
