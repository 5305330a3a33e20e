"""Jobs that end while the server is away, or whose worker is killed."""

import random
import threading
import time

import pytest

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import Outcome, Pool, Queue, WorkerOptions


@pytest.mark.any_server
def test_a_job_that_ends_while_the_server_is_away_has_finished(own_server: PrivateServer, capfd: pytest.CaptureFixture[str]) -> None:
    """The end is recorded when the server is back; RQ's worker would be gone by then. The log has a line at each end of the outage."""
    with notify.connect(own_server.url) as bus:
        queue, effects = Queue("work", connection=bus.redis), Effects(bus)
        options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), log_level="WARNING")
        with Pool(options, size=1) as pool:
            sleeping = queue.enqueue("tests.support.sample_jobs.sleep", 1.0, "x")
            queue.enqueue(add, "after")
            effects.wait_for("x:begun")
            own_server.kill()
            time.sleep(1.5)  # it ends in this time
            own_server.restart()
            assert sleeping.wait(15) == Outcome("finished")
            effects.wait_for("after")
            assert pool.check() == 1
            assert len(sleeping.results()) == 1
    away, back = [line for line in capfd.readouterr().err.splitlines() if " WARNING " in line]
    assert " notify the server is away, and all that needs it waits: " in away
    assert " notify the server is back after " in back


@pytest.mark.any_server
def test_a_worker_that_gets_sigterm_while_the_server_is_away_ends(own_server: PrivateServer, capfd: pytest.CaptureFixture[str]) -> None:
    with notify.connect(own_server.url) as bus:
        queue, effects = Queue("work", connection=bus.redis), Effects(bus)
        options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,))
        with Pool(options, size=1) as pool:
            queue.enqueue(add)
            effects.wait_for("added")
            (worker,) = pool.processes
            own_server.kill()
            wait_until(lambda: "the server is away" in capfd.readouterr().err, timeout_s=10)
            worker.terminate()
            worker.wait(10)


@pytest.mark.usefixtures("each_window")
@pytest.mark.any_server
def test_no_job_is_lost_when_workers_are_killed_at_any_moment(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    jobs = queue.enqueue_many([Queue.prepare_data(add, job_id=f"job-{number}") for number in range(400)])
    pool = start_workers(2, queues=("none", "work"))
    kills = 5
    for kill in range(kills):
        wait_until(lambda kill=kill: 400 - queue.count > 40 * (kill + 1), timeout_s=30, what="some progress")
        threading.Event().wait(random.uniform(0, 0.01))
        pool.processes[0].kill()
        pool.processes[0].wait()
        wait_until(lambda: pool.check() == 2, timeout_s=5)
    wait_until(lambda: not queue.count, timeout_s=30, what="the end of the queue")
    pool.close()
    in_hand = set(queue.started_job_registry.get_job_ids(cleanup=False))
    given_back = set(queue.get_job_ids())  # claimed ahead, and not begun when the pool was closed
    outcomes = {job.id: job.outcome for job in jobs}
    assert {job_id for job_id, outcome in outcomes.items() if outcome is None} == in_hand | given_back
    assert in_hand & given_back == set()
    fallen = [outcome for job_id, outcome in outcomes.items() if outcome != Outcome("finished") and job_id not in given_back]
    assert len(fallen) <= kills
    # Those whose death was noticed by now.
    assert all(outcome is None or (outcome.status == "failed" and "died" in outcome.reason) for outcome in fallen)
