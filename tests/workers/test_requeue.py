"""Trying an ended job once more."""

import pytest

import notify
from tests.workers.sample_jobs import add, fail
from workers import JobNotFoundError, JobRefusedError, Queue, requeue


def test_a_failed_job_runs_again(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    start_workers()
    job = queue.enqueue(fail)
    assert job.wait(10).status == "failed"
    requeue(bus.redis, job.id)
    assert effects.wait_for("failed", 2) == 2


def test_a_cancelled_job_runs_when_its_service_is_there(bus: notify.Bus, queue: Queue, start_workers, effects) -> None:
    job = queue.enqueue(add, needs="svc")
    assert job.outcome.status == "cancelled"
    with bus.service("svc"):
        again = requeue(bus.redis, job.id)
        assert bus.redis.ttl(again.key) == -1, "it waits as long as it takes"
        start_workers()
        assert again.wait(10).status == "finished"
    assert effects["added"] == 1
    assert job.id not in queue.canceled_job_registry


def test_a_cancelled_job_whose_service_is_still_gone_is_cancelled_again(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, needs="svc")
    assert requeue(bus.redis, job.id).outcome.status == "cancelled"
    assert len(queue) == 0


def test_what_waits_or_finished_or_never_was_is_refused(bus: notify.Bus, queue: Queue, start_workers) -> None:
    job = queue.enqueue(add)
    with pytest.raises(JobRefusedError, match="has not ended"):
        requeue(bus.redis, job.id)
    start_workers()
    job.wait(10)
    with pytest.raises(JobRefusedError, match="finished"):
        requeue(bus.redis, job.id)
    with pytest.raises(JobNotFoundError):
        requeue(bus.redis, "nope")
