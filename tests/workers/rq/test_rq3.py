"""What is new in RQ 3, with our queues and workers."""

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import BEGUN, begin
from tests.support.faults import commands_during
from tests.support.odd_workers import odd_worker
from tests.support.sample_jobs import add, fail, hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Job, JobDefinitionError, Queue, explain, find_jobs, find_workers, job, queues, requeue, rq_keys
from workers.rq import IS_RQ_3
from workers.schedule import RateLimits, Scheduler

rq3 = pytest.mark.skipif(not IS_RQ_3, reason="RQ 2.12 has none of this")


@job("work", needs="svc")
def needy() -> None:
    """A job that needs a service."""


def work(url: str) -> None:
    subprocess.run(odd_worker("Worker", url), check=True, capture_output=True, timeout=30)


def limited(key: str = "key", concurrency: int = 1) -> Any:
    return rq.RateLimit(key, concurrency)


@rq3
def test_of_jobs_with_a_rate_limit_the_others_wait_and_all_run(bus: notify.Bus, queue: Queue, server: Any, effects: Effects) -> None:
    jobs = [queue.enqueue(add, str(number), rate_limit=limited()) for number in range(3)]
    assert [each.get_status() for each in jobs] == ["queued", "rate_limited", "rate_limited"]
    assert {each.id for each in find_jobs(bus.redis, status="rate_limited")} == {each.id for each in jobs[1:]}
    assert "waits for a place within its rate limit" in explain(bus, jobs[1])
    failing = queue.enqueue(fail, rate_limit=limited())
    last = queue.enqueue(add, "last", rate_limit=limited())
    for _ in range(5):  # a burst ends when its queue is empty
        work(server.url)
    assert [effects[str(number)] for number in range(3)] == [1, 1, 1]
    assert (failing.get_status(), last.get_status()) == ("failed", "finished")


@rq3
@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_rate_limit_holds_within_a_batch(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, concurrency: int) -> None:
    """No two of the limited jobs among others are claimed at a time, and each job runs once. The twin has room for all of them."""
    jobs, claimed = [], set()
    for number in range(20):
        options: dict[str, Any] = {"rate_limit": limited(concurrency=concurrency)} if number % 4 == 0 else {}
        jobs.append(queue.enqueue(begin, 0.005, job_id=f"{'limited' if options else 'free'}-{number}", **options))
    start_workers(2, modules=("tests.support.batch_jobs",), window=32)

    def are_done() -> bool:
        entries: Any = bus.redis.zrange(rq_keys.started("work"), 0, -1)
        running = frozenset(job_id for entry in entries if (job_id := entry.decode().rpartition(":")[0]).startswith("limited"))
        claimed.add(running)
        return all(each.is_finished for each in jobs)

    wait_until(are_done, timeout_s=20)
    order: Any = [name.decode() for name in bus.redis.lrange(BEGUN, 0, -1)]
    assert sorted(order) == sorted(each.id for each in jobs)
    assert (max(map(len, claimed)) > 1) == (concurrency > 1)


@rq3
def test_a_cancelled_job_gives_its_place_within_the_rate_limit_away(bus: notify.Bus, queue: Queue) -> None:
    first, second, third = (queue.enqueue(add, rate_limit=limited()) for _ in range(3))
    assert second.cancel().status == "cancelled"
    assert first.cancel().status == "cancelled"
    assert third.get_status() == "rate_limited", "the twin: without the leader it would wait for RQ's maintenance"
    RateLimits(bus.redis).run()
    assert [each.get_status() for each in (first, second, third)] == ["canceled", "canceled", "queued"]
    third.cancel()


@rq3
def test_jobs_that_are_due_or_tried_again_take_their_turn_within_the_rate_limit(bus: notify.Bus, queue: Queue) -> None:
    first = queue.enqueue(add, rate_limit=limited())
    due = queue.enqueue_in(timedelta(0), add, rate_limit=limited())
    Scheduler(bus.redis).run_all()
    assert first.cancel().status == "cancelled"
    assert due.get_status() == "rate_limited"
    again = requeue(bus.redis, first.id)
    assert again.get_status() == "rate_limited"
    assert queue.job_ids == []
    RateLimits(bus.redis).run()
    assert sorted(each.get_status() for each in (due, again)) == ["queued", "rate_limited"]
    assert len(queue.job_ids) == 1


@rq3
def test_a_job_with_needs_takes_no_rate_limit(bus: notify.Bus, queue: Queue) -> None:
    with pytest.raises(JobDefinitionError, match=r"it has a rate limit and needs services \(svc\), give one of the two"):
        queue.enqueue(needy, rate_limit=limited())
    with pytest.raises(JobDefinitionError, match="give one of the two"):
        queue.enqueue_in(timedelta(9), needy, rate_limit=limited())
    assert bus.redis.keys("rq:rl*") == []


@pytest.mark.skipif(IS_RQ_3, reason="RQ 3 has it")
def test_rq_2_takes_a_rate_limit_for_an_argument_of_the_function(queue: Queue) -> None:
    with pytest.raises(TypeError, match="rate_limit"):
        queue.enqueue(add, rate_limit="any")


@rq3
def test_a_run_is_listed_where_rq_3_looks_for_it(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers()
    running = queue.enqueue(hold, "held")
    wait_until(lambda: running.get_status() == "started", what="the start")
    (worker,) = rq.Worker.all(connection=bus.redis)
    (execution,) = wait_until(worker.get_current_executions, what="the record of a run that takes longer than 20 ms")
    assert (execution.job_id, worker.current_execution_count) == (running.id, 1)
    rq.command.send_stop_execution_command(bus.redis, running.id, execution.id)
    outcome = running.wait(10)
    assert outcome is not None
    assert outcome.status == "stopped"
    wait_until(lambda: worker.current_execution_count == 0, what="the end of the run in the list of its worker")


@pytest.mark.parametrize("status", ["rate_limited", "ready_to_enqueue"])
def test_a_status_of_rq_3_is_shown_and_its_job_can_be_cancelled(bus: notify.Bus, queue: Queue, status: str) -> None:
    """Also on RQ 2.12, beside which RQ 3 may use the same server."""
    waiting = queue.enqueue(add)
    bus.redis.lrem(queue.key, 1, waiting.id)
    bus.redis.hset(waiting.key, "status", status)
    if status == "ready_to_enqueue":
        bus.redis.zadd(rq_keys.ready("work"), {waiting.id: 1})
    else:
        bus.redis.sadd(rq_keys.RATE_LIMITS, "key")
        bus.redis.zadd(rq_keys.rate_limited("key"), {waiting.id: 1})
    assert [each.id for each in find_jobs(bus.redis, status=status)] == [waiting.id]
    assert getattr(queues(bus.redis)[0], status) == 1
    assert Job.fetch(waiting.id, connection=bus.redis).cancel().status == "cancelled"
    assert bus.redis.zcard(rq_keys.ready("work")) == 0


def test_a_worker_of_rq_3_is_shown_with_its_job(bus: notify.Bus, queue: Queue) -> None:
    running = queue.enqueue(add)
    bus.redis.sadd(rq_keys.WORKERS, rq_keys.worker("plain"))
    bus.redis.hset(rq_keys.worker("plain"), mapping={"state": "busy", "queues": "work", "birth": "2026-01-01T00:00:00.000000Z"})
    bus.redis.sadd(rq_keys.worker_executions("plain"), f"{running.id}:fence")
    (shown,) = find_workers(bus.redis)
    assert (shown.job, shown.state) == (running.id, "busy")
    bus.redis.delete(rq_keys.worker("plain"), rq_keys.worker_executions("plain"))


@rq3
def test_dependents_of_a_job_run_on_a_queue_of_ours_whoever_released_them(bus: notify.Bus, queue: Queue, server: Any) -> None:
    """A crash after the transaction leaves them ready; the maintenance enqueues them."""
    first = queue.enqueue(add)
    second = queue.enqueue(add, depends_on=first)
    bus.redis.hset(second.key, "status", "ready_to_enqueue")
    bus.redis.zrem(rq_keys.deferred("work"), second.id)
    bus.redis.zadd(rq_keys.ready("work"), {second.id: 1})
    work(server.url)
    work(server.url)
    assert second.get_status() == "finished"


@rq3
def test_a_worker_at_rest_asks_for_rate_limits_now_and_then(bus: notify.Bus) -> None:
    commands = commands_during(bus.redis, lambda: RateLimits(bus.redis).run())
    assert commands == [f"SMEMBERS {rq_keys.RATE_LIMITS}"]


PREFIXED = """
import notify, sys
from workers import Queue, Worker, find_workers, queues
from tests.support.sample_jobs import add
bus = notify.connect(sys.argv[1])
queue = Queue("work", connection=bus.redis)
jobs = [queue.enqueue(add, "prefixed"), queue.enqueue(add)]
jobs.append(queue.enqueue(add, depends_on=jobs[0]))
Worker([queue], modules=["tests.support.sample_jobs"]).work(burst=True, logging_level="ERROR")
assert [job.get_status().value for job in jobs] == ["finished"] * 3, [job.get_status() for job in jobs]
assert [each.finished for each in queues(bus.redis)] == [3]
keys = [key.decode() for key in bus.redis.keys()]
assert not [key for key in keys if key.startswith("rq:") and not key.startswith("rq:test:")], keys
assert [key for key in keys if key.startswith("{some}:rq:job:")]
bus.close()
"""


@rq3
def test_all_keys_of_rq_have_the_prefix_that_rq_3_reads_from_the_environment(server: Any, bus: notify.Bus) -> None:
    environ = {**os.environ, "RQ_KEY_PREFIX": "{some}:rq"}
    done = subprocess.run(
        [sys.executable, "-c", PREFIXED, server.url], env=environ, capture_output=True, text=True, timeout=50, check=False
    )
    bus.redis.delete(*bus.redis.keys("{some}:*"))
    assert done.returncode == 0, done.stderr
