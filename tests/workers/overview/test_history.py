"""The history of jobs."""

import notify
from notify.history import read_history
from tests.support.sample_jobs import add, add_with_svc, fail
from tests.workers.conftest import StartWorkers
from workers import Queue
from workers.overview import JobPoint, histories_of_functions, histories_of_queues, job_history


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


def test_a_failure_is_counted_with_its_seconds(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    failed = queue.enqueue(fail)
    start_workers()
    assert failed.wait(10)
    jobs = total(job_history(bus.redis))
    assert (jobs.enqueued, jobs.failed, jobs.work.count) == (1, 1, 1)
    assert 0 < jobs.work.sum_s < 10
