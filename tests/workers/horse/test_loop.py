"""The main loop of the horse: the state that a job leaves behind, and when the process retires."""

import os
import signal

import pytest

from tests.support.sample_jobs import leave, surroundings, where
from tests.workers.conftest import Effects, StartWorkers, is_alive, result
from workers import Queue, RetireAfter

pytestmark = pytest.mark.any_server


@pytest.mark.parametrize(("retire", "processes"), [(RetireAfter(jobs=3), 3), (RetireAfter(megabytes=1), 7), (RetireAfter(), 1)])
def test_a_process_is_replaced_after_its_share_of_jobs_or_memory(
    queue: Queue, start_workers: StartWorkers, retire: RetireAfter, processes: int
) -> None:
    start_workers(retire=retire)
    places = [result(job) for job in [queue.enqueue(where) for _ in range(7)]]
    assert len({pid for pid, _ in places}) == processes


@pytest.mark.parametrize("what", ["a signal handler", "an alarm", "another folder", "a program that has ended", "nothing"])
def test_the_state_that_a_job_leaves_behind_is_restored(queue: Queue, start_workers: StartWorkers, what: str) -> None:
    start_workers()
    left_by, looked = queue.enqueue(leave, what), queue.enqueue(surroundings)
    pid, job_id, in_environment, folder, handlers, threads = result(looked)
    assert pid == result(left_by)
    assert (job_id, in_environment, folder) == (looked.id, looked.id, os.getcwd())
    assert handlers[0] == str(signal.SIG_DFL)
    assert "_end_unless_told_to_all" in handlers[1]
    assert threads == ["MainThread"]


@pytest.mark.parametrize("what", ["a thread", "a program"])
def test_a_thread_or_program_of_a_job_does_not_meet_the_next_one(
    queue: Queue, start_workers: StartWorkers, effects: Effects, what: str
) -> None:
    start_workers()
    left_by, looked = queue.enqueue(leave, what), queue.enqueue(surroundings)
    pid, *_, threads = result(looked)
    assert pid != result(left_by)
    assert threads == ["MainThread"]
    if what == "a program":
        assert is_alive(effects["program:pid"])  # as with RQ: nobody stopped the job
        os.kill(effects["program:pid"], signal.SIGKILL)
