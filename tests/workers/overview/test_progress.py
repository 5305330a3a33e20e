"""The progress of some workers."""

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add, fail, hold
from tests.workers.conftest import Effects, StartWorkers
from workers import Queue
from workers.overview.progress import WorkerProgress, worker_progress


def test_done_and_failed_runs_and_jobs_left_are_counted(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    for function, arguments in ((add, ()), (fail, ()), (add, ()), (hold, ("x",)), (add, ())):
        queue.enqueue(function, *arguments)
    Queue("another", connection=bus.redis).enqueue(add)
    assert worker_progress(bus.redis, queues=["work", "another"], workers=[]) == WorkerProgress(0, 0, 6)
    pool = start_workers(burst=True)
    effects.wait_for("x:begun")
    wait_until(lambda: worker_progress(bus.redis, queues=["work"], workers=pool.names) == WorkerProgress(2, 1, 2), what="20 ms of a job")
    effects.let_go("x")
    wait_until(lambda: pool.check() == 0, timeout_s=15)
    assert worker_progress(bus.redis, queues=["work"], workers=pool.names) == WorkerProgress(4, 1, 0)


def test_unknown_workers_have_done_nothing(bus: notify.Bus) -> None:
    assert worker_progress(bus.redis, queues=["work"], workers=["nobody"]) == WorkerProgress(0, 0, 0)
