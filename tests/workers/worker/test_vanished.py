"""Workers whose connections lose their packets, whose master freezes, or whose end a failover has taken back."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import rq
from rq import Retry

import notify
from notify.testing import PrivateServer, wait_until
from tests.support import deaf_worker
from tests.support.proxy import Proxy
from tests.support.sample_jobs import add, hold
from tests.support.sentinels import Replicated
from tests.workers.conftest import ROOT, SAMPLE, Effects, StartWorkers, connections, is_alive, name_of_worker
from workers import Job, Outcome, Pool, Queue, WorkerOptions, rq_keys
from workers.scripts import ClaimScripts
from workers.scripts.run import Run

NOTICED_S = 3.0
"""Two probes: a second of silence, and two for the answer."""
SLACK_S = 3.0
"""For a busy machine, and for the pauses of a backoff."""


@pytest.fixture
def proxy(own_server: PrivateServer) -> Iterator[Proxy]:
    with Proxy(own_server.directory / "redis.sock") as running:
        yield running


def pool_behind(proxy: Proxy, size: int = 1) -> Pool:
    settings = notify.Settings(url=proxy.url)
    return Pool(WorkerOptions(settings=settings, queues=("work",), modules=(SAMPLE,), log_level="CRITICAL"), size=size)


@pytest.mark.any_server
@pytest.mark.slow
def test_every_part_of_a_worker_notices_that_its_packets_are_lost(own_server: PrivateServer, proxy: Proxy) -> None:
    """Experiment 29: an idle worker goes on after two probes, on new connections, and ends on SIGTERM."""
    with notify.connect(own_server.url) as bus, pool_behind(proxy) as pool:
        queue = Queue("work", connection=bus.redis)
        assert queue.enqueue(add).wait(15) == Outcome("finished")
        worker = name_of_worker(bus)
        wait_until(lambda: len(connections(bus, worker)) == 4)
        before = connections(bus, worker)
        proxy.vanish()
        began = time.monotonic()
        assert queue.enqueue(add).wait(15) == Outcome("finished")
        assert time.monotonic() - began < NOTICED_S + SLACK_S
        wait_until(lambda: len(connections(bus, worker) - before) == 4, timeout_s=2 * SLACK_S, what="four new connections")
        proxy.vanish()
        pool.processes[0].terminate()
        pool.processes[0].wait(3 * NOTICED_S + SLACK_S)


@pytest.mark.any_server
@pytest.mark.slow
def test_a_worker_of_plain_rq_does_not_notice(own_server: PrivateServer, proxy: Proxy) -> None:
    """Experiment 29, the twin: it waits for 415 s."""
    command = [sys.executable, "-c", "from rq.cli import main; main()", "worker", "--quiet", "--url", proxy.url, "plain"]
    with notify.connect(own_server.url) as bus, subprocess.Popen(command, cwd=ROOT) as process:
        queue = rq.Queue("plain", connection=bus.redis)
        first = queue.enqueue("tests.support.sample_jobs.add")
        wait_until(lambda: first.get_status() in ("finished", "failed"), timeout_s=20)
        wait_until(lambda: any(each["cmd"] == "blmove" and "b" in each["flags"] for each in bus.redis.client_list()))
        proxy.vanish()
        second = queue.enqueue("tests.support.sample_jobs.add")
        time.sleep(NOTICED_S + SLACK_S)  # until now the other worker has noticed
        assert second.get_status() == "queued"
        process.kill()


def let_claims_vanish(
    proxy: Proxy, bus: notify.Bus, start_workers: StartWorkers, own_server: PrivateServer, modules: tuple[str, ...]
) -> Job:
    """Run a job on a worker whose claims, and the end of the job with them, are lost from then on; all else goes through."""
    queue, effects = Queue("work", connection=bus.redis), Effects(bus)
    job = queue.enqueue(hold, "x", retry=Retry(max=1))
    settings = notify.Settings(url=proxy.url)
    start_workers(settings=settings, modules=modules, lease_s=1.0, log_level="CRITICAL")
    effects.wait_for("x:begun")
    start_workers(settings=notify.Settings(url=own_server.url), log_level="CRITICAL")
    claims = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)
    proxy.swallow(claims.digest("refill").encode())
    effects.let_go("x", 2)
    effects.wait_for("x:done")
    return job


UNHEARD_S = NOTICED_S + 1.0 + 1.0
"""The claims are not answered, the lease ends, another worker finds that."""


@pytest.mark.any_server
@pytest.mark.slow
def test_a_worker_whose_claims_do_not_go_through_lets_its_lease_go(
    own_server: PrivateServer, proxy: Proxy, start_workers: StartWorkers
) -> None:
    with notify.connect(own_server.url) as bus:
        job = let_claims_vanish(proxy, bus, start_workers, own_server, (SAMPLE,))
        done_at = time.monotonic()
        assert job.wait(20) == Outcome("finished")
        assert time.monotonic() - done_at < UNHEARD_S + SLACK_S
        assert Effects(bus)["x:begun"] == 2
        proxy.swallow(b"")
        wait_until(lambda: len(rq.Worker.all(connection=bus.redis)) == 2, timeout_s=10, what="both workers")
        wait_until(lambda: bus.redis.zcard(bus.keys.leases) == 2, timeout_s=10, what="both leases")
        assert Queue("work", connection=bus.redis).enqueue(add).wait(15) == Outcome("finished")
        assert len(job.results()) == 1


@pytest.mark.any_server
@pytest.mark.slow
def test_the_twin_a_worker_that_keeps_its_lease_keeps_its_job(own_server: PrivateServer, proxy: Proxy, start_workers: StartWorkers) -> None:
    with notify.connect(own_server.url) as bus:
        job = let_claims_vanish(proxy, bus, start_workers, own_server, (deaf_worker.__name__, SAMPLE))
        time.sleep(UNHEARD_S + SLACK_S)  # until now another worker has run it
        assert job.get_status(refresh=True) == "started"
        proxy.swallow(b"")
        assert job.wait(20) == Outcome("finished")
        assert Effects(bus)["x:begun"] == 1


@pytest.mark.slow
def test_work_goes_on_when_the_master_freezes_and_a_replica_is_promoted() -> None:
    """Experiment 28: a worker is busy and one is idle, and the master never comes back."""
    with Replicated() as servers:
        settings = notify.Settings(url=servers.url, connect_timeout_s=0.5, command_timeout_s=1.0)
        options = WorkerOptions(settings=settings, queues=("work",), modules=(SAMPLE,), log_level="CRITICAL")
        with notify.connect(settings=settings) as bus, Pool(options, size=2) as pool:
            queue, effects = Queue("work", connection=bus.redis), Effects(bus)
            running = queue.enqueue("tests.support.sample_jobs.sleep", 3.0, "x")
            effects.wait_for("x:begun")
            bus.redis.set("rq:test:replicated", "1", ex=60)
            bus.redis.wait(1, 2_000)  # replication is asynchronous, and keeps the order
            old = servers.master
            servers.signal(old, signal.SIGSTOP)
            wait_until(lambda: servers.master != old, timeout_s=10, what="another master")
            promoted_at = time.monotonic()
            waiting = wait_until(lambda: enqueued(queue), timeout_s=10, what="an enqueue at the new master")
            wait_until(lambda: status_of(waiting) == "finished", timeout_s=10)
            wait_until(lambda: status_of(running) == "finished", timeout_s=10)
            assert time.monotonic() - promoted_at < 10
            assert effects["x:begun"] == 1
            assert bus.redis.zcard(rq_keys.started("work")) == 0
            assert pool.check() == 2
            servers.signal(old, signal.SIGCONT)


def enqueued(queue: Queue) -> Job | None:
    try:
        return queue.enqueue(add)
    except notify.ServerError:
        return None


def status_of(job: Job) -> str | None:
    try:
        return str(job.get_status().value)
    except redis.RedisError:
        return None


def take_back(bus: notify.Bus, job: Job, run: Run, worker: str) -> None:
    """Put the server into the state before the end of a run, as a replica that is promoted may be, and cut the worker's connections."""
    wait_until(
        lambda: any(each["cmd"] == "blpop" for each in bus.redis.client_list()), what="an idle worker"
    )  # its claim would overwrite this
    with bus.redis.pipeline() as pipe:
        pipe.hset(job.key, mapping={"status": "started", "worker_name": worker, "fence": run.fence})
        pipe.persist(job.key)
        pipe.hdel(job.key, "sealed")
        pipe.hset(rq_keys.worker(worker), "current_job", job.id)
        pipe.zadd(rq_keys.started("work"), {f"{job.id}:{run.fence}": time.time() + 60})
        pipe.zrem(rq_keys.finished("work"), job.id)
        pipe.zrem(rq_keys.failed("work"), job.id)
        pipe.execute()
    for each in connections(bus, worker):
        bus.redis.client_kill_filter(_id=str(each))


def last_run(bus: notify.Bus, job: Job) -> Run:
    results: Any = bus.redis.xrevrange(rq_keys.results(job.id), count=1)
    return Run(job.id, results[0][1][b"execution_id"].decode())


def test_an_end_that_a_failover_took_back_is_recorded_again(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    done = queue.enqueue(add)
    assert done.wait(15) == Outcome("finished")
    take_back(bus, done, last_run(bus, done), name_of_worker(bus))
    wait_until(lambda: done.get_status(refresh=True) == "finished", timeout_s=10)
    assert done.return_value(refresh=True) == "added"
    assert bus.redis.zcard(rq_keys.started("work")) == 0


def test_an_end_that_only_the_horse_knew_is_a_failure_of_the_worker(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    failed = queue.enqueue("tests.support.sample_jobs.hold_and_fail", "x")
    Effects(bus).let_go("x")
    outcome = failed.wait(15)
    assert outcome is not None
    assert "x failed" in outcome.reason
    take_back(bus, failed, last_run(bus, failed), name_of_worker(bus))
    wait_until(lambda: failed.get_status(refresh=True) == "failed", timeout_s=10)
    assert bus.redis.zcard(rq_keys.started("work")) == 0


@pytest.mark.any_server
def test_a_worker_at_the_limit_of_connections_waits_with_a_backoff(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), log_level="CRITICAL")
        with Pool(options, size=1) as pool:
            queue = Queue("work", connection=bus.redis)
            assert queue.enqueue(add).wait(15) == Outcome("finished")
            worker = name_of_worker(bus)
            bus.redis.config_set("maxclients", 1)
            for each in connections(bus, worker):
                bus.redis.client_kill_filter(_id=str(each))
            rejected = int(bus.redis.info("stats")["rejected_connections"])
            time.sleep(2.0)  # this is what is measured
            tried = int(bus.redis.info("stats")["rejected_connections"]) - rejected
            assert 4 <= tried < 100
            bus.redis.config_set("maxclients", 100)
            assert queue.enqueue(add).wait(15) == Outcome("finished")
            assert pool.check() == 1
            assert is_alive(pool.processes[0].pid)
