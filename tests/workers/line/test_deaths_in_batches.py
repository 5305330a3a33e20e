"""Deaths in the moments between two jobs of a batch, brought about by the jobs themselves: with real processes."""

import os
import signal
from collections import Counter
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import BEGUN, begin, begin_last, kill
from tests.workers.conftest import StartWorkers, children, name_of_worker
from workers import Job, Queue, rq_keys

OPTIONS: dict[str, Any] = {"modules": ("tests.support.batch_jobs",), "window": 32, "lease_s": 1.0}


def put(queue: Queue, *calls: tuple[Any, ...]) -> dict[str, Job]:
    """Enqueue calls at once. The ids of their jobs are the letters from a on."""
    data = [Queue.prepare_data(function, args, job_id="abcdefgh"[number]) for number, (function, *args) in enumerate(calls)]
    return {job.id: job for job in queue.enqueue_many(data)}


def begun(bus: notify.Bus) -> list[str]:
    names: Any = bus.redis.lrange(BEGUN, 0, -1)
    return [name.decode() for name in names]


@pytest.mark.parametrize("is_told_to_end", [True, False])
def test_a_run_that_a_worker_waits_for_goes_back_when_the_fork_server_is_killed(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, is_told_to_end: bool
) -> None:
    """The horse is between two jobs: it has told the end of one, and has not begun the next, which the worker waits for."""
    put(queue, (begin,), (begin,), (begin_last,), (begin,), (begin,))
    (worker,) = start_workers(**OPTIONS).processes
    wait_until(lambda: queue.get_job_ids() == ["e"], what="the worker to wait for d, and to give back what is behind it")
    if is_told_to_end:
        key = rq_keys.worker(name_of_worker(bus))
        os.kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: bus.redis.hget(key, "shutdown_requested_date"), what="the worker to know that it is to end")
    (fork_server,) = children(worker.pid)
    os.kill(fork_server, signal.SIGKILL)
    worker.wait(10)
    assert (queue.get_job_ids(), queue.started_job_registry.get_job_ids(cleanup=False)) == (["d", "e"], [])
    start_workers(**OPTIONS)
    wait_until(lambda: bus.redis.zcard(rq_keys.finished("work")) == 5, timeout_s=10, what="the end of all jobs")
    assert begun(bus) == ["a", "b", "c", "d", "e"]


def test_what_had_returned_is_recorded_although_its_process_was_replaced(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    """A job kills its process; the next process begins the job behind it, which kills the worker before that has recorded any end."""
    start_workers(**{**OPTIONS, "queues": ("none",)})  # looks for dead workers
    (worker,) = start_workers(**OPTIONS).processes
    wait_until(lambda: bus.redis.scard(rq_keys.workers("work")), timeout_s=10, what="the worker")
    jobs = put(queue, (begin,), (begin,), (kill,), (kill, worker.pid), (begin,))
    worker.wait(10)
    wait_until(lambda: bus.redis.zcard(rq_keys.failed("work")) >= 2, timeout_s=15, what="the reaper")
    assert queue.get_job_ids() == ["e"]
    start_workers(**OPTIONS)
    wait_until(lambda: all(job.outcome for job in jobs.values()), timeout_s=10, what="the end of all jobs")
    found = {job_id: job.outcome.status for job_id, job in jobs.items() if job.outcome}
    assert found == {"a": "finished", "b": "finished", "c": "failed", "d": "failed", "e": "finished"}
    assert max(Counter(begun(bus)).values()) == 1
