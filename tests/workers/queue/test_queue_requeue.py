"""Requeueing an ended job."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import notify
from tests.support.sample_jobs import add, fail
from workers import JobNotFoundError, JobRefusedError, Queue, requeue
from workers.scripts.enqueue import EnqueueScripts


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


def test_a_waiting_finished_or_unknown_job_is_refused(bus: notify.Bus, queue: Queue, start_workers) -> None:
    job = queue.enqueue(add)
    with pytest.raises(JobRefusedError, match="has not ended"):
        requeue(bus.redis, job.id)
    start_workers()
    job.wait(10)
    with pytest.raises(JobRefusedError, match="finished"):
        requeue(bus.redis, job.id)
    with pytest.raises(JobNotFoundError):
        requeue(bus.redis, "nope")


def test_a_refused_requeue_leaves_the_job_as_it_was(bus: notify.Bus, queue: Queue, monkeypatch) -> None:
    job = queue.enqueue(add, needs="svc")

    def fail_to(*_: object, **__: object) -> None:
        raise notify.ServerUnreachableError("no answer")

    with bus.service("svc"):
        with monkeypatch.context() as patch:
            patch.setattr(EnqueueScripts, "run", fail_to)
            with pytest.raises(notify.ServerUnreachableError):
                requeue(bus.redis, job.id)
        assert job.id in queue.canceled_job_registry
        assert bus.redis.ttl(job.key) > 0
        assert requeue(bus.redis, job.id).get_status() == "queued"
        assert job.id not in queue.canceled_job_registry
        assert queue.job_ids == [job.id]


def test_one_of_many_concurrent_requeues_succeeds(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add, needs="svc")

    def again(_: int) -> bool:
        try:
            requeue(bus.redis, job.id)
        except JobRefusedError:
            return False
        return True

    with bus.service("svc"), ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(again, range(16))) == 1
        assert queue.job_ids == [job.id]
