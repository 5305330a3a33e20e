"""A paused queue keeps its jobs, whoever asks; its workers go on with other queues, and with it when it is resumed."""

import pytest

from notify.testing import wait_until
from tests.support import sample_jobs
from tests.workers.conftest import StartWorkers
from workers import Queue, QueueNotFoundError, explain
from workers.overview import queues
from workers.queue import pause_queue, paused_queues, resume_queue


def test_no_job_of_a_paused_queue_starts_until_it_is_resumed(bus, start_workers: StartWorkers):
    slow, quick = Queue("slow", connection=bus.redis), Queue("quick", connection=bus.redis)
    slow.enqueue(sample_jobs.add, "before").cancel()
    assert pause_queue(bus.redis, "slow")
    assert not pause_queue(bus.redis, "slow")
    first, second = slow.enqueue(sample_jobs.add, "first"), slow.enqueue(sample_jobs.add, "second")
    start_workers(queues=("slow", "quick"))
    beside = [quick.enqueue(sample_jobs.add, "beside") for _ in range(20)]
    for job in beside:
        assert job.wait(10).status == "finished"
    assert {first.get_status().value, second.get_status().value} == {"queued"}
    assert paused_queues(bus.redis) == ["slow"]
    assert [queue.paused for queue in queues(bus.redis)] == [False, True]
    assert "its queue is paused: notify queues resume slow" in explain(bus, first)
    assert resume_queue(bus.redis, "slow")
    assert not resume_queue(bus.redis, "slow")
    assert first.wait(10).status == second.wait(10).status == "finished"


def test_the_twin_that_is_not_paused_runs_at_once(bus, start_workers: StartWorkers):
    job = Queue("slow", connection=bus.redis).enqueue(sample_jobs.add, "first")
    start_workers(queues=("slow", "quick"))
    assert job.wait(10).status == "finished"


def test_an_idle_worker_takes_what_came_during_the_pause(bus, start_workers: StartWorkers):
    queue = Queue("slow", connection=bus.redis)
    queue.enqueue(sample_jobs.add, "before")
    start_workers(queues=("slow",))
    wait_until(lambda: not queue.count, what="an idle worker")
    pause_queue(bus.redis, "slow")
    job = queue.enqueue(sample_jobs.add, "meanwhile")
    resume_queue(bus.redis, "slow")
    assert job.wait(10).status == "finished"


def test_a_pause_is_forgotten_after_a_month(bus):
    Queue("slow", connection=bus.redis).enqueue(sample_jobs.add, "x")
    pause_queue(bus.redis, "slow")
    assert 29 * 86_400 < bus.redis.ttl(bus.keys.paused) <= 30 * 86_400


def test_a_queue_that_never_was_cannot_be_paused(bus):
    with pytest.raises(QueueNotFoundError, match="no queue 'nope'"):
        pause_queue(bus.redis, "nope")
