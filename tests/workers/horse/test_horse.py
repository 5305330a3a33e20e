"""The horse: one process for many jobs, and a new one when it is gone."""

import os
import signal

import pytest

from tests.support.sample_jobs import add, fail, fork_away, hold, kill_yourself, later, tick, where
from tests.workers.conftest import Effects, StartWorkers, is_alive, result
from workers import Outcome, Queue

pytestmark = pytest.mark.any_server


def test_many_jobs_run_in_one_process_in_a_group_of_its_own(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    places = [result(queue.enqueue(job)) for job in (where, where, later, where)]
    (pid, group) = places[0]
    assert places == [[pid, pid]] * 4
    assert group == pid != worker.pid


@pytest.mark.parametrize("ending", ["fails", "crashes", "is stopped", "takes too long"])
def test_a_process_is_replaced_only_if_it_was_interrupted(queue: Queue, start_workers: StartWorkers, effects: Effects, ending: str) -> None:
    start_workers()
    before, _ = result(queue.enqueue(where))
    if ending == "is stopped":
        stopped = queue.enqueue(tick, "x")
        effects.wait_for("x:begun")
        stopped.cancel()
    elif ending == "takes too long":
        assert queue.enqueue(hold, "x", job_timeout=1).wait(10).status == "failed"
    else:
        queue.enqueue({"fails": fail, "crashes": kill_yourself}[ending]).wait(10)
    after, _ = result(queue.enqueue(where))
    assert (after == before, is_alive(before)) == ((True, True) if ending == "fails" else (False, False))


def test_the_death_of_a_process_is_noticed_although_its_child_holds_its_files(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(fork_away, "x")
    effects.wait_for("x:begun")
    os.kill(effects["x:pid"], signal.SIGKILL)
    assert running.wait(5).status == "failed"
    assert queue.enqueue(add).wait(5) == Outcome("finished")
    os.kill(effects["x:away"], signal.SIGKILL)
