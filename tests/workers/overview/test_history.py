"""The history of jobs."""

from collections import Counter

from rq import Retry

import notify
from notify.history import loss_history, read_history
from notify.testing import wait_until
from tests.support.sample_jobs import add, add_with_svc, fail, hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Queue
from workers.overview import JobPoint, histories_of_functions, histories_of_queues, job_history
from workers.scripts import JobScripts


def total(points: tuple[JobPoint, ...]) -> JobPoint:
    first, *others = points
    for point in others:
        first += point
    return first


def test_jobs_are_counted_by_queue_and_function(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    for _ in range(3):
        queue.enqueue(add)
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(20)])
    queue.enqueue(add_with_svc, on_loss="hold")
    queue.enqueue(add_with_svc)
    queue.enqueue(add).cancel()
    history = read_history(bus.redis)
    assert len(history.moments) == 61
    jobs = total(job_history(history))
    assert (jobs.enqueued, jobs.held, jobs.cancelled) == (24, 1, 2)
    by_function = {pair: total(points) for pair, points in histories_of_functions(history).items()}
    path = "tests.support.sample_jobs"
    assert by_function["work", f"{path}.add"].enqueued == 24
    assert by_function["work", f"{path}.add_with_svc"].held == 1
    assert total(histories_of_queues(history)["work"]) == jobs
    assert total(job_history(history, function=f"{path}.add")).cancelled == 1
    assert total(job_history(history, queue="other")).enqueued == 0


def test_failures_retries_and_stops_are_counted_with_their_seconds(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    failed = queue.enqueue(fail, retry=Retry(max=1))
    start_workers()
    assert failed.wait(15)
    stopped = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    stopped.cancel()
    wait_until(lambda: total(job_history(bus.redis)).stopped, timeout_s=15)
    jobs = total(job_history(bus.redis))
    assert (jobs.enqueued, jobs.started, jobs.retried, jobs.failed, jobs.stopped, jobs.finished) == (3, 3, 1, 1, 1, 0)
    assert (jobs.work.count, jobs.ended) == (3, 2)
    assert 0 < jobs.work.sum_s < 30


def test_a_job_that_waited_for_its_service_is_counted_as_held_and_released(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers
) -> None:
    job = queue.enqueue(add_with_svc, on_loss="hold")
    start_workers()
    with bus.service("svc"):
        assert job.wait(15)
    jobs = total(job_history(bus.redis))
    assert (jobs.enqueued, jobs.held, jobs.released, jobs.started, jobs.finished) == (0, 1, 1, 1, 1)


def test_what_lost_its_need_is_counted_by_policy_and_need(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add_with_svc)
    queue.enqueue(add_with_svc, on_loss="hold")
    with bus.service("svc"):
        for _ in range(3):
            queue.enqueue(add_with_svc)
    JobScripts(bus.redis).apply_loss("svc", passed=0, count=10)
    found: Counter[tuple[str, str]] = Counter()
    for point in loss_history(read_history(bus.redis), need="svc"):
        found.update(point.by_need)
    assert found == {("cancel", "svc"): 4, ("hold", "svc"): 1}
    assert all(not point.by_need for point in loss_history(read_history(bus.redis), need="other"))
