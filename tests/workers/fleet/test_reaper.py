"""Reaping a worker that was killed while its job was being stopped."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rq import Retry

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import Effects, StartWorkers, claim_next, is_alive, mishaps
from workers import Job, Outcome, Queue, rq_keys
from workers.fleet.reaper import Reaper
from workers.loss.held import HeldJobs
from workers.scripts.jobs import JobScripts
from workers.scripts.run import Ended


def is_frozen(pid: int) -> bool:
    """Whether all threads of a process are frozen. Linux only."""
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in Path(f"/proc/{pid}/task").iterdir())


@contextmanager
def killed_between_the_verdict_and_the_hold(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> Iterator[tuple[str, Job]]:
    """The worker is frozen when the service goes, so that it cannot stop the job, and then killed (SIGKILL)."""
    with bus.service("svc"):
        job = queue.enqueue(hold, "x", needs="svc", on_loss="hold")
        (process,) = start_workers().processes
        effects.wait_for("x:begun")
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: is_frozen(process.pid), what="all threads of the worker frozen")
    raw: Any = bus.redis.hmget(job.key, "fence", "worker_name")
    fence, worker = (value.decode() for value in raw)
    assert JobScripts(bus.redis).check_run(job.id, fence=fence).lost == "svc"
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    assert (job.get_status(), job.held) == ("started", None)
    yield worker, job


@pytest.mark.usefixtures("each_window")
def test_a_job_whose_worker_is_killed_before_it_could_hold_it_is_held(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    with killed_between_the_verdict_and_the_hold(bus, queue, start_workers, effects) as (worker, job):
        Reaper(bus.redis).reap(worker, job.id)
        assert (job.outcome, job.held, queue.started_job_registry.get_job_ids()) == (None, "svc", [])
    with bus.service("svc"):
        HeldJobs(bus.redis).run()
        start_workers()
        effects.let_go("x")
        assert job.wait(10) == Outcome("finished")
    assert (effects["x:begun"], effects["x:done"]) == (2, 1)


def test_the_same_job_without_a_hold_fails(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter-example."""
    monkeypatch.setattr(JobScripts, "hold_run", lambda *_, **__: "")
    with killed_between_the_verdict_and_the_hold(bus, queue, start_workers, effects) as (worker, job):
        Reaper(bus.redis).reap(worker, job.id)
        assert job.outcome is not None
        assert job.outcome.status == "failed"


def test_a_stopped_job_of_a_dead_worker_is_published_and_recorded_once(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, retry=Retry(max=3))
    claim_next(bus)
    assert JobScripts(bus.redis).stop_run(job.id, reason="enough") == "stopped"
    worker = bus.redis.dump(rq_keys.worker("w"))
    with bus.subscribe(bus.keys.job_topic("work")) as events:
        for _ in range(2):
            Reaper(bus.redis).reap("w", job.id)
            bus.redis.restore(rq_keys.worker("w"), 0, worker, replace=True)
        (contents,) = mishaps(events, 1)
    assert (contents["job"], contents["status"], contents["reason"]) == (job.id, "stopped", "enough")
    assert (job.outcome.status, queue.failed_job_registry.get_job_ids(), queue.job_ids) == ("stopped", [job.id], [])
    assert (len(job.results()), queue.started_job_registry.get_job_ids()) == (1, [])


def test_a_worker_that_took_another_job_meanwhile_is_not_reaped(bus: notify.Bus, queue: Queue) -> None:
    """The worker was frozen and woke up just then."""
    before, after = queue.enqueue(add), queue.enqueue(add)
    first = claim_next(bus).run
    second = claim_next(bus, fence="newer", ended=Ended(first, 1.0, 2.0)).run
    Reaper(bus.redis).reap("w", before.id)
    assert (before.get_status(), after.get_status()) == ("finished", "started")
    assert JobScripts(bus.redis).seal_run(after.id, fence=second.fence)
    Reaper(bus.redis).reap("w", after.id)
    assert (after.get_status(), bus.redis.exists(rq_keys.worker("w"))) == ("failed", 0)


def test_a_job_that_another_worker_stops_is_left_to_that_worker(bus: notify.Bus, queue: Queue) -> None:
    """The process of that run may still be alive; the dead worker had another run of the job."""
    with bus.service("svc"):
        job = queue.enqueue(add, needs="svc", on_loss="hold")
        run = claim_next(bus).run
    assert JobScripts(bus.redis).check_run(job.id, fence=run.fence).lost == "svc"
    bus.redis.hset(rq_keys.worker("dead"), mapping={"current_job": job.id, "queues": "work"})
    Reaper(bus.redis).reap("dead", job.id)
    assert (job.get_status(), job.held) == ("started", None)
    assert JobScripts(bus.redis).hold_run(job.id, fence=run.fence) == "held"
