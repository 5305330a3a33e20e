"""Each finding about jobs, queues and workers, provoked on a real server."""

import os
import signal
from importlib.metadata import version

import pytest

import notify
from notify.testing import wait_until
from tests.support.cron_jobs import at_four
from tests.support.faults import server_ms
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import Effects, StartWorkers
from tests.workers.fleet.test_leader import renew
from tests.workers.schedule.test_cron import AT_FOUR, listen, load, make_due
from workers import Queue, job, rq_keys
from workers.overview.doctor import Finding, examine, versions
from workers.queue import pause_queue

DAY_MS = 86_400_000


@job("work")
def unknown_to_all() -> None: ...


def found(bus: notify.Bus, name: str) -> list[Finding]:
    return [finding for finding in examine(bus) if finding.name == name]


def levels(bus: notify.Bus, name: str) -> list[str]:
    return [finding.level for finding in found(bus, name)]


def test_jobs_without_a_worker_are_told(bus: notify.Bus, queue: Queue) -> None:
    assert levels(bus, "queues") == ["ok"]
    queue.enqueue(add)
    (finding,) = found(bus, "queues")
    assert finding.level == "error"
    assert finding.remedy == "start one: notify worker work"


def test_jobs_whose_function_no_worker_has_loaded_are_told(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    queue.enqueue(add)
    assert levels(bus, "queues") == ["ok"]
    queue.enqueue(unknown_to_all)
    (finding,) = found(bus, "queues")
    assert (finding.level, "has loaded tests.workers.overview.doctor.test_jobs.unknown_to_all" in finding.what) == ("error", True)
    assert finding.what.startswith("2 jobs wait on 'work' for ")
    assert finding.remedy.endswith("--import tests.workers.overview.doctor.test_jobs")
    effects.let_go("gate")


def test_jobs_on_a_paused_queue_are_told(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    assert queue.enqueue(add).wait(15).status == "finished"
    pause_queue(bus.redis, "work")
    assert levels(bus, "queues") == ["ok"], "no job waits"
    queue.enqueue(add)
    (finding,) = found(bus, "queues")
    assert (finding.level, finding.remedy) == ("warning", "end that with: notify queues resume work")
    assert finding.what == "1 job waits on 'work' for 0 s; it is paused: no worker takes them"


def test_suspended_workers_are_told(bus: notify.Bus) -> None:
    bus.redis.set(rq_keys.suspended(), "1", ex=60)
    assert levels(bus, "queues") == ["warning"]


def test_runs_of_a_dead_worker_and_a_missing_leader_are_told(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    (process,) = start_workers().processes
    queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    wait_until(lambda: levels(bus, "leader") == ["ok"], what="a leader")
    assert levels(bus, "runs") == ["ok"]
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: levels(bus, "runs") == ["error"], what="the end of the lease", timeout_s=15)
    bus.redis.delete(bus.keys.leader)
    bus.redis.zadd(bus.keys.leases, {"another": server_ms(bus.redis) + 60_000})
    bus.redis.set(bus.keys.leader, "somebody", ex=60)
    assert levels(bus, "runs") == ["warning"]
    assert levels(bus, "leader") == ["warning"]
    os.kill(process.pid, signal.SIGCONT)
    effects.let_go("gate")


def test_a_recurring_job_that_was_missed_is_told(bus: notify.Bus) -> None:
    renew(bus, "w", lease_ms=60_000)
    load(bus, "w", at_four)
    listen(bus, "w", "work")
    assert levels(bus, "cron") == ["ok"]
    make_due(bus, AT_FOUR, ago_ms=DAY_MS)
    (finding,) = found(bus, "cron")
    assert (finding.level, "was not enqueued" in finding.what) == ("error", True)
    bus.redis.hset(bus.keys.cron_alarms, AT_FOUR, 1_700_000_000_000)
    bus.redis.expire(bus.keys.cron_alarms, 60)
    (finding,) = found(bus, "cron")
    assert (finding.level, "no worker listens to 'work' since 2023-11-14" in finding.what) == ("error", True)


def test_workers_with_another_major_version_of_rq_are_told(bus: notify.Bus) -> None:
    assert levels(bus, "libraries") == ["ok"]
    listen(bus, "old", "work")
    bus.redis.sadd(rq_keys.WORKERS, rq_keys.worker("old"))
    bus.redis.hset(rq_keys.worker("old"), "version", "1.16.2")
    (finding,) = found(bus, "libraries")
    assert (finding.level, "workers run RQ 1.16.2" in finding.what) == ("warning", True)


def test_a_version_of_redis_py_that_is_not_supported_is_told(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "version", lambda name: {"redis": "7.1.0"}.get(name) or version(name))
    assert levels(bus, "libraries") == ["error"]
