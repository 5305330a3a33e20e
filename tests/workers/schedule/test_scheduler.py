"""Scheduled jobs: enqueued once whatever schedules or crashes, and by one scheduler at a time."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
import rq
from rq import Repeat, Retry
from rq.scheduler import RQScheduler

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.queued_jobs import index
from tests.support.sample_jobs import add, add_with_svc, fail
from tests.workers.conftest import Effects, StartWorkers, children
from tests.workers.fleet.test_leader import elected_leader, leader_of, pid_of
from tests.workers.fleet.test_lease import frozen
from workers import Outcome, Queue, rq_keys
from workers.jobs.call import JsonSerializer
from workers.schedule.scheduler import LOCK_MS, Scheduler
from workers.scripts.jobs import AT_ONCE

SHORT_S = 2.0
PAST = timedelta(seconds=-5)


@pytest.fixture
def scheduler(bus: notify.Bus) -> Scheduler:
    return Scheduler(bus.redis)


def holder(bus: notify.Bus) -> str:
    """The scheduler that has the lock of the queue ``work``."""
    name: Any = bus.redis.get(rq_keys.scheduler_lock("work"))
    return (name or b"").decode()


def test_due_jobs_are_enqueued_in_their_order_and_no_others(queue: Queue, scheduler: Scheduler) -> None:
    due = [queue.enqueue_in(timedelta(seconds=-seconds), add) for seconds in (3, 9, 6)]
    later = queue.enqueue_in(timedelta(hours=1), add)
    assert scheduler.run() == 1.0
    assert queue.job_ids == [due[1].id, due[2].id, due[0].id]
    assert queue.scheduled_job_registry.get_job_ids() == [later.id]
    due[0].refresh()
    assert (due[0].get_status(), due[0].origin, due[0].enqueued_at is not None) == ("queued", "work", True)
    assert due[0].timeout == queue._default_timeout


def test_the_scheduler_returns_when_the_next_job_is_due(queue: Queue, scheduler: Scheduler, bus: notify.Bus) -> None:
    job = queue.enqueue_in(timedelta(hours=1), add)
    seconds, microseconds = bus.redis.time()
    bus.redis.zadd(rq_keys.scheduled("work"), {job.id: seconds + microseconds / 1e6 + 0.5})
    wait_s = scheduler.run()
    assert 0.1 < wait_s <= 0.5
    wait_until(lambda: scheduler.run() == 1.0 and queue.job_ids == [job.id])


def test_more_than_one_chunk_is_enqueued_chunk_by_chunk(queue: Queue, scheduler: Scheduler) -> None:
    for number in range(AT_ONCE + 10):
        queue.enqueue_in(PAST, add, job_id=f"j{number}")
    assert (scheduler.run(), len(queue.job_ids)) == (0.0, AT_ONCE)
    assert (scheduler.run(), len(queue.job_ids)) == (1.0, AT_ONCE + 10)


def test_all_queues_are_served(bus: notify.Bus, scheduler: Scheduler) -> None:
    queues = [Queue(f"q{number}", connection=bus.redis) for number in range(5)]
    jobs = [queue.enqueue_in(PAST, add) for queue in queues]
    scheduler.run()
    assert [queue.job_ids for queue in queues] == [[job.id] for job in jobs]


@pytest.mark.parametrize(
    ("options", "has_run", "first"),
    [
        ({}, True, False),
        ({"at_front": True}, False, True),
        ({"front_on_retry": True}, True, True),
        ({"front_on_retry": True}, False, False),
    ],
)
def test_a_job_goes_to_the_front_if_rq_would_put_it_there(
    queue: Queue, scheduler: Scheduler, options: dict[str, bool], has_run: bool, first: bool
) -> None:
    retry = Retry(max=1, interval=1, enqueue_at_front=True) if "front_on_retry" in options else None
    job = queue.enqueue_in(PAST, add, at_front=options.get("at_front", False), retry=retry)
    if has_run:
        job.ended_at = rq.utils.now()
        job.save()
    other = queue.enqueue(add)
    assert job.should_enqueue_at_front() == first
    scheduler.run()
    assert queue.job_ids == ([job.id, other.id] if first else [other.id, job.id])


def test_a_scheduled_job_is_in_the_index_before_and_after_its_time(queue: Queue, scheduler: Scheduler, bus: notify.Bus) -> None:
    with bus.service("svc"):
        job = queue.enqueue_in(PAST, add_with_svc)
        assert index(bus) == [job.id]
        scheduler.run()
        assert index(bus) == [job.id]
        assert queue.cancel(needs="svc") == 1


def test_a_scheduled_job_that_lost_its_service_is_cancelled_by_its_worker(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    with bus.service("svc"):
        job = queue.enqueue_in(timedelta(seconds=1), add_with_svc)
    start_workers()
    outcome = job.wait(15)
    assert outcome is not None
    assert (outcome.status, outcome.need, effects["added"]) == ("cancelled", "svc", 0)


@pytest.mark.parametrize("status", ["queued", "started", "canceled", "stopped"])
def test_a_job_removed_from_the_schedule_is_not_enqueued(queue: Queue, scheduler: Scheduler, bus: notify.Bus, status: str) -> None:
    job = queue.enqueue_in(PAST, add)
    bus.redis.hset(job.key, "status", status)
    scheduler.run()
    assert (queue.job_ids, queue.scheduled_job_registry.get_job_ids(), job.get_status()) == ([], [], status)


def test_a_cancelled_job_is_not_enqueued(queue: Queue, scheduler: Scheduler) -> None:
    job = queue.enqueue_in(PAST, add)
    assert job.cancel() is not None
    scheduler.run()
    assert queue.job_ids == []


def test_an_id_without_a_job_is_dropped(queue: Queue, scheduler: Scheduler, bus: notify.Bus) -> None:
    kept = queue.enqueue_in(PAST, add)
    bus.redis.set(rq_keys.job("text"), "no hash", ex=60)
    bus.redis.zadd(rq_keys.scheduled("work"), {"missing": 1, "text": 1, b"\xff": 1})
    scheduler.run()
    assert (queue.job_ids, queue.scheduled_job_registry.get_job_ids()) == ([kept.id], [])


@pytest.mark.parametrize("key", [rq_keys.queue("bad"), rq_keys.scheduled("bad"), rq_keys.scheduler_lock("bad")])
def test_a_broken_queue_is_skipped(queue: Queue, scheduler: Scheduler, bus: notify.Bus, key: str) -> None:
    good, bad = queue.enqueue_in(PAST, add), Queue("bad", connection=bus.redis).enqueue_in(PAST, add)
    bus.redis.delete(key)
    bus.redis.hset(key, "no", "such thing")
    assert scheduler.run() == 1.0
    assert (queue.job_ids, bad.get_status()) == ([good.id], "scheduled")


def test_the_ttl_of_a_job_begins_when_it_is_enqueued(queue: Queue, scheduler: Scheduler, bus: notify.Bus) -> None:
    job = queue.enqueue_in(PAST, add, ttl=500)
    bus.redis.sadd(job.dependents_key, "one")
    bus.redis.sadd(job.dependencies_key, "another")
    bus.redis.expire(job.key, 5)
    scheduler.run()
    assert all(490 < bus.redis.ttl(key) <= 500 for key in (job.key, job.dependents_key, job.dependencies_key))


def rq_scheduler(client: redis.Redis) -> RQScheduler:
    return RQScheduler(["work"], connection=client, serializer=JsonSerializer)


def test_a_queue_of_rqs_scheduler_is_left_to_it_until_it_is_gone(
    queue: Queue, scheduler: Scheduler, bus: notify.Bus, server: PrivateServer
) -> None:
    job = queue.enqueue_in(PAST, add)
    with redis.Redis.from_url(server.url) as plain:
        theirs = rq_scheduler(plain)
        assert theirs.acquire_locks() == {"work"}
        assert scheduler.run() == 1.0
        assert (queue.job_ids, holder(bus)) == ([], theirs.name)
        theirs.release_locks()
        theirs.connection.connection_pool.disconnect()
    scheduler.run()
    assert queue.job_ids == [job.id]


def test_a_scheduler_of_rq_leaves_our_queues_alone(queue: Queue, scheduler: Scheduler, bus: notify.Bus, server: PrivateServer) -> None:
    queue.enqueue_in(timedelta(hours=1), add)
    scheduler.run()
    with redis.Redis.from_url(server.url) as plain:
        theirs = rq_scheduler(plain)
        assert theirs.acquire_locks() == set()
        theirs.connection.connection_pool.disconnect()
    assert holder(bus) == bus.keys.leader
    assert 0 < bus.redis.pttl(rq_keys.scheduler_lock("work")) <= LOCK_MS


def test_a_queue_that_two_namespaces_share_has_one_scheduler(queue: Queue, bus: notify.Bus, connect_to: Any, server: Any) -> None:
    queue.enqueue_in(timedelta(hours=1), add)
    ours, other = Scheduler(bus.redis), Scheduler(connect_to(server, namespace="other").redis)
    ours.run()
    other.run()
    assert holder(bus) == "notify:leader"


def race(schedulers: list[Any]) -> None:
    """Run all schedulers at once."""
    start = threading.Barrier(len(schedulers))

    def run(scheduler: Any) -> None:
        start.wait()
        scheduler()

    threads = [threading.Thread(target=run, args=(scheduler,)) for scheduler in schedulers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_schedulers_enqueue_each_job_once(queue: Queue, bus: notify.Bus) -> None:
    jobs = [queue.enqueue_in(PAST, add) for _ in range(100)]
    race([Scheduler(bus.redis).run] * 8)
    assert sorted(queue.job_ids) == sorted(job.id for job in jobs)


def test_schedulers_that_read_first_and_remove_later_enqueue_twice(queue: Queue, bus: notify.Bus) -> None:
    """The counter-example: two schedulers like RQ's, without its lock."""
    jobs = [queue.enqueue_in(PAST, add) for _ in range(10)]
    both_have_read = threading.Barrier(2)

    def naively() -> None:
        ids = queue.scheduled_job_registry.get_jobs_to_schedule()
        both_have_read.wait()
        with bus.redis.pipeline() as pipe:
            for job_id in ids:
                pipe.rpush(queue.key, job_id)
                pipe.zrem(rq_keys.scheduled("work"), job_id)
            pipe.execute()

    race([naively, naively])
    assert len(queue.job_ids) == 2 * len(jobs)


def test_a_retry_with_an_interval_runs_again(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    job = queue.enqueue(fail, retry=Retry(max=2, interval=1))
    start_workers()
    outcome = job.wait(20)
    assert outcome is not None
    assert (outcome.status, outcome.reason, effects["failed"]) == ("failed", "RuntimeError: it went wrong", 3)


def test_a_job_enqueued_for_later_runs_then(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers()
    job = queue.enqueue_in(timedelta(seconds=2), add)
    began_at = time.monotonic()
    assert job.wait(15) == Outcome("finished")
    assert 0.9 < time.monotonic() - began_at < 4  # RQ stores whole seconds
    assert effects["added"] == 1


@pytest.mark.any_server
def test_a_job_with_repeats_runs_that_often(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    queue.enqueue(add, repeat=Repeat(times=2, interval=1))
    start_workers()
    effects.wait_for("added", 3)


def test_four_workers_run_two_hundred_due_jobs_once_each(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    jobs = [queue.enqueue_in(timedelta(seconds=1), add, f"j{number}") for number in range(200)]
    start_workers(4)
    assert [job.wait(30) for job in jobs] == [Outcome("finished")] * 200
    assert [effects[f"j{number}"] for number in range(200)] == [1] * 200


@pytest.mark.any_server
def test_the_next_leader_schedules_when_the_first_one_is_killed(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    pool = start_workers(3, lease_s=SHORT_S)
    first = elected_leader(bus)
    (process,) = [process for process in pool.processes if process.pid == pid_of(bus, first)]
    process.kill()
    jobs = [queue.enqueue_in(timedelta(seconds=1), add) for _ in range(20)]
    assert [job.wait(20) for job in jobs] == [Outcome("finished")] * 20
    assert effects["added"] == 20
    # The worker that the pool starts in place of the killed one enqueues what is due as well, maybe before there is a leader.
    wait_until(lambda: leader_of(bus) not in ("", first), what="the next leader")


@pytest.mark.any_server
def test_a_frozen_leader_that_wakes_runs_nothing_twice(
    queue: Queue, bus: notify.Bus, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers(3, lease_s=SHORT_S)
    first = elected_leader(bus)
    with frozen(pid_of(bus, first)):
        jobs = [queue.enqueue_in(timedelta(seconds=1), add) for _ in range(50)]
        wait_until(lambda: leader_of(bus) not in ("", first), timeout_s=10)
    assert [job.wait(20) for job in jobs] == [Outcome("finished")] * 50
    wait_until(lambda: first.encode() in bus.redis.zrange(bus.keys.leases, 0, -1), timeout_s=10)
    assert effects["added"] == 50


def test_a_burst_runs_due_jobs_although_another_worker_leads(queue: Queue, bus: notify.Bus, start_workers: StartWorkers) -> None:
    bus.redis.set(bus.keys.leader, "another", px=60_000)
    due, later = queue.enqueue_in(PAST, add), queue.enqueue_in(timedelta(hours=1), add)
    (process,) = start_workers(burst=True).processes
    assert process.wait(20) == 0
    assert (due.outcome, later.get_status()) == (Outcome("finished"), "scheduled")


@pytest.mark.any_server
def test_a_worker_with_a_scheduler_starts_no_process_for_it(queue: Queue, start_workers: StartWorkers) -> None:
    """All workers of a pool are asked for a scheduler. Their one child process is the fork server."""
    job = queue.enqueue_in(timedelta(seconds=1), add)
    (process,) = start_workers().processes
    assert job.wait(15) == Outcome("finished")
    assert len(children(process.pid)) == 1
