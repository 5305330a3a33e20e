"""Queues in numbers."""

from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.faults import commands_during
from tests.support.sample_jobs import add, add_with_svc, fail, hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Job, Queue, QueueInfo, queues, rq_keys
from workers.overview import queue_info
from workers.scripts import RecordScripts


def numbers(info: QueueInfo) -> dict[str, Any]:
    """The numbers that are not 0."""
    return {name: number for name in QueueInfo.__struct_fields__ if (number := getattr(info, name)) and name not in ("queue", "latency_s")}


def test_a_queue_is_described_in_numbers(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    finished, failed = queue.enqueue(add), queue.enqueue(fail)
    queue.enqueue(add, needs="nobody")
    queue.enqueue(add_with_svc, on_loss="hold")
    start_workers()
    for job in (finished, failed):
        assert job.wait(10)
    stopped = queue.enqueue(hold, "gone")
    effects.wait_for("gone:begun")
    stopped.cancel()
    wait_until(lambda: stopped.id in queue.failed_job_registry and stopped.id not in queue.started_job_registry, timeout_s=15)
    running = queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    queue.enqueue(add)
    queue.enqueue(add, depends_on=running)
    (info,) = queues(bus.redis)
    wanted = dict.fromkeys(("queued", "started", "held", "deferred", "finished", "failed", "stopped", "canceled", "workers"), 1)
    assert numbers(info) == wanted
    assert info.queue == "work"
    effects.let_go("gate")


def test_the_latency_is_the_age_of_the_oldest_waiting_job(bus: notify.Bus, queue: Queue) -> None:
    assert queues(bus.redis) == []
    first = queue.enqueue(add)
    queue.enqueue(add, at_front=True)
    assert 0 <= (queues(bus.redis)[0].latency_s or 0) < 5
    bus.redis.hset(first.key, "turn", str(int(bus.redis.time()[0] - 100) * 1_000_000))
    assert 100 <= (queues(bus.redis)[0].latency_s or 0) < 110
    for job_id in queue.job_ids:
        Job.fetch(job_id, connection=bus.redis).cancel()
    assert queues(bus.redis)[0].latency_s is None


def test_the_latency_counts_a_job_of_plain_rq_which_has_no_turn(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    bus.redis.hdel(job.key, "turn")
    bus.redis.hset(job.key, "enqueued_at", "2026-01-01T00:00:00.000000Z")
    assert (queues(bus.redis)[0].latency_s or 0) > 86_400
    bus.redis.hset(job.key, "enqueued_at", "yesterday")
    assert queues(bus.redis)[0].latency_s is None


def test_what_has_expired_does_not_count_although_rq_keeps_its_id(bus: notify.Bus, queue: Queue) -> None:
    kept, gone = queue.enqueue(add), queue.enqueue(add)
    bus.redis.delete(gone.key)
    for registry, status in ((rq_keys.failed("work"), "failed"), (rq_keys.canceled("work"), "canceled")):
        bus.redis.hset(rq_keys.job(f"a-{status}"), "status", status)
        bus.redis.zadd(registry, {f"a-{status}": 1, "gone": 2})
    bus.redis.zadd(rq_keys.finished("work"), {"gone": 1, "kept": 10**10})
    assert numbers(queues(bus.redis)[0]) == {"queued": 1, "failed": 1, "canceled": 1, "finished": 1}
    assert [kept.id, gone.id] == queue.job_ids  # RQ would count both


def test_many_jobs_are_counted_page_by_page_and_a_very_long_list_by_its_length(
    bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.overview.queue_info.COUNT_AT_ONCE", 7)
    monkeypatch.setattr("workers.scripts.records.COUNT_AT_ONCE", 7)
    jobs = queue.enqueue_many([Queue.prepare_data(add) for _ in range(30)])
    bus.redis.delete(jobs[-1].key)
    assert queues(bus.redis)[0].queued == 29
    monkeypatch.setattr(queue_info, "COUNTED", 20)
    assert queues(bus.redis)[0].queued == 30
    queue.empty()


def test_very_many_failed_jobs_are_not_looked_through(bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape of the metrics reads these numbers every few seconds."""
    jobs = queue.enqueue_many([Queue.prepare_data(add) for _ in range(30)])
    with bus.redis.pipeline() as pipe:
        for number, job in enumerate(jobs):
            pipe.hset(job.key, "status", "stopped" if number < 5 else "failed")
            pipe.zadd(rq_keys.failed("work"), {job.id: number})
            pipe.zadd(rq_keys.canceled("work"), {job.id: number})
        for registry in (rq_keys.failed("work"), rq_keys.canceled("work")):
            pipe.expire(registry, 60)
        pipe.delete(rq_keys.queue("work"))
        pipe.execute()
    (exact,) = queues(bus.redis)
    assert (exact.failed, exact.stopped, exact.canceled) == (25, 5, 0)
    looked_through = len(commands_during(bus.redis, lambda: queues(bus.redis), in_scripts=True))
    monkeypatch.setattr(queue_info, "COUNTED", 10)
    (rough,) = queues(bus.redis)
    assert (rough.failed, rough.stopped, rough.canceled) == (25, 5, 30)
    assert len(commands_during(bus.redis, lambda: queues(bus.redis), in_scripts=True)) < looked_through


def test_keys_that_another_program_wrote_count_as_empty(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    for key in (rq_keys.failed("work"), rq_keys.finished("work"), rq_keys.workers("work")):
        bus.redis.set(key, "text")
    bus.redis.sadd(bus.keys.held_pairs, "no JSON", b"\xff")
    bus.redis.expire(bus.keys.held_pairs, 60)
    bus.redis.rpush(rq_keys.queue("work"), "no job", "text")
    bus.redis.set(rq_keys.job("text"), "text")
    assert numbers(queues(bus.redis)[0]) == {"queued": 1}


def test_ended_jobs_are_deleted_with_their_results_and_others_stay(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """Nobody can wait any more for a job that is gone; a run that is being stopped must find its job."""
    finished, failed, blocking = queue.enqueue(add), queue.enqueue(fail), queue.enqueue(fail)
    dependent = queue.enqueue(add, depends_on=blocking)
    cancelled = queue.enqueue(add, needs="nobody")
    start_workers()
    for job in (finished, failed, blocking):
        assert job.wait(15)
    running = queue.enqueue(hold, "gate")
    effects.wait_for("gate:begun")
    scripts = RecordScripts(bus.redis)
    ids = [job.id for job in (finished, failed, blocking, dependent, cancelled, running)]
    assert scripts.delete([*ids, "nobody"]) == (3, 1, 3)
    assert [bool(bus.redis.exists(rq_keys.job(job_id))) for job_id in ids] == [False, False, True, True, False, True]
    assert not bus.redis.exists(rq_keys.results(finished.id), rq_keys.results(failed.id))
    assert numbers(queues(bus.redis)[0]) == {"failed": 1, "deferred": 1, "started": 1, "workers": 1}
    dependent.cancel()
    assert scripts.delete([blocking.id, dependent.id]) == (2, 0, 0)
    effects.let_go("gate")


def test_a_job_that_is_being_stopped_is_not_deleted(bus: notify.Bus, queue: Queue) -> None:
    bus.redis.hset(rq_keys.job("j"), mapping={"status": "stopped", "origin": "work", "stopped": "f"})
    bus.redis.zadd(rq_keys.started("work"), {"j:f": 10**10})
    scripts = RecordScripts(bus.redis)
    assert scripts.delete(["j"]) == (0, 0, 1)
    bus.redis.zrem(rq_keys.started("work"), "j:f")
    assert scripts.delete(["j"]) == (1, 0, 0)
