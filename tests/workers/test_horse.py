"""The process that jobs run in: one for many jobs, which never meet, and another one when it is gone."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import rq

import notify
from notify.testing import PrivateServer, wait_until
from tests.faults import commands_during
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, is_alive
from tests.workers.sample_jobs import add, fail, fork_away, hold, kill_yourself, later, leave, surroundings, tick, where
from workers import Job, Outcome, Pool, Queue, RetireAfter, WorkerOptions
from workers.zygote import Zygote


def result(job: Job) -> Any:
    assert job.wait(15) == Outcome("finished")
    return job.return_value()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_many_jobs_run_in_one_process_in_a_group_of_its_own(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    places = [result(queue.enqueue(job)) for job in (where, where, later, where)]
    (pid, group) = places[0]
    assert places == [[pid, pid]] * 4
    assert group == pid != worker.pid


def test_the_process_of_the_jobs_is_not_forked_by_a_process_with_threads(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    pid, _ = result(queue.enqueue(where))
    (zygote,) = children(worker.pid)
    assert children(zygote) == [pid]
    assert len(list(Path(f"/proc/{zygote}/task").iterdir())) == 1
    assert len(list(Path(f"/proc/{worker.pid}/task").iterdir())) > 1


def test_nothing_is_forked_for_jobs_before_there_is_one(bus: notify.Bus, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    wait_until(lambda: bus.redis.client_list(_type="pubsub"), timeout_s=10)
    (zygote,) = wait_until(lambda: children(worker.pid), timeout_s=10)
    assert children(zygote) == []


@pytest.mark.parametrize("ending", ["fails", "crashes", "is stopped", "takes too long"])
def test_a_process_is_replaced_only_if_it_was_interrupted(queue: Queue, start_workers: StartWorkers, effects: Effects, ending: str) -> None:
    start_workers()
    before, _ = result(queue.enqueue(where))
    if ending == "is stopped":
        stopped = queue.enqueue(tick, "x")
        effects.wait_for("x:begun")
        stopped.cancel()
    elif ending == "takes too long":
        assert queue.enqueue(hold, "x", job_timeout=1).wait(10) == Outcome("failed")
    else:
        queue.enqueue({"fails": fail, "crashes": kill_yourself}[ending]).wait(10)
    after, _ = result(queue.enqueue(where))
    assert (after == before, is_alive(before)) == ((True, True) if ending == "fails" else (False, False))


@pytest.mark.parametrize(("retire", "processes"), [(RetireAfter(jobs=3), 3), (RetireAfter(megabytes=1), 7), (RetireAfter(), 1)])
def test_a_process_that_has_done_its_share_is_replaced(
    queue: Queue, start_workers: StartWorkers, retire: RetireAfter, processes: int
) -> None:
    start_workers(retire=retire)
    places = [result(job) for job in [queue.enqueue(where) for _ in range(7)]]
    assert len({pid for pid, _ in places}) == processes


@pytest.mark.parametrize("what", ["a signal handler", "an alarm", "another folder", "a program that has ended", "nothing"])
def test_what_a_job_leaves_behind_is_put_back(queue: Queue, start_workers: StartWorkers, what: str) -> None:
    start_workers()
    left_by, looked = queue.enqueue(leave, what), queue.enqueue(surroundings)
    pid, job_id, in_environment, folder, handlers, threads = result(looked)
    assert pid == result(left_by)
    assert (job_id, in_environment, folder) == (looked.id, looked.id, os.getcwd())
    assert handlers == [str(signal.SIG_DFL)] * 2
    assert threads == ["MainThread"]


@pytest.mark.parametrize("what", ["a thread", "a program"])
def test_a_job_that_still_runs_somewhere_does_not_meet_the_next_one(
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


def test_the_death_of_a_process_is_noticed_although_what_it_forked_holds_its_files(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(fork_away, "x")
    effects.wait_for("x:begun")
    os.kill(effects["x:pid"], signal.SIGKILL)
    assert running.wait(5) == Outcome("failed")
    assert queue.enqueue(add).wait(5) == Outcome("finished")
    os.kill(effects["x:away"], signal.SIGKILL)


def test_a_worker_whose_zygote_was_killed_fails_the_job_in_hand_and_ends(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, capfd: pytest.CaptureFixture[str]
) -> None:
    (worker,) = start_workers().processes
    in_hand, next_one = queue.enqueue(hold, "x"), queue.enqueue(add)
    effects.wait_for("x:begun")
    (zygote,) = children(worker.pid)
    os.kill(zygote, signal.SIGKILL)
    assert in_hand.wait(10) == Outcome("failed")
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job")
    worker.wait(10)
    assert "HorseError" in capfd.readouterr().err
    assert queue.get_job_ids() == [next_one.id]
    assert rq.Worker.all(connection=bus.redis) == []


def test_a_zygote_ends_with_its_worker(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    pid, _ = result(queue.enqueue(where))
    (zygote,) = children(worker.pid)
    worker.kill()
    wait_until(lambda: not is_alive(zygote) and not is_alive(pid), timeout_s=5)


def test_a_zygote_that_never_forked_ends_when_it_is_closed() -> None:
    def ride(end: Any) -> Any:
        raise AssertionError("nothing is to be forked")

    zygote = Zygote(ride)
    zygote.open()
    (pid,) = [child for child in children(os.getpid()) if child not in before_open(zygote)]
    zygote.close()
    zygote.close()
    assert not is_alive(pid)


def before_open(zygote: Zygote) -> set[int]:
    return set(children(os.getpid())) - {zygote._pid}


def test_a_job_that_ends_while_the_server_is_away_has_finished(own_server: PrivateServer) -> None:
    """The end is recorded when the server is back; RQ's worker would be gone by then."""
    with notify.connect(own_server.url) as bus:
        queue, effects = Queue("work", connection=bus.redis), Effects(bus)
        options = WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), log_level="ERROR")
        with Pool(options, size=1) as pool:
            sleeping = queue.enqueue("tests.workers.sample_jobs.sleep", 1.0, "x")
            queue.enqueue(add, "after")
            effects.wait_for("x:begun")
            own_server.kill()
            time.sleep(1.5)  # it ends in this time
            own_server.restart()
            assert sleeping.wait(15) == Outcome("finished")
            effects.wait_for("after")
            assert pool.check() == 1
            assert len(sleeping.results()) == 1


def test_no_job_is_lost_when_workers_are_killed_at_any_moment(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    jobs = queue.enqueue_many([Queue.prepare_data(add, job_id=f"job-{number}") for number in range(600)])
    pool = start_workers(2, queues=("none", "work"))
    killed = 0
    while queue.count:
        threading.Event().wait(random.uniform(0.05, 0.4))
        for process in pool.processes:
            if process.poll() is None and bus.redis.exists("rq:finished:work"):
                process.kill()
                killed += 1
                break
        pool.check()
    pool.close()
    in_hand = set(queue.started_job_registry.get_job_ids(cleanup=False))
    statuses = {job.id: job.get_status() for job in jobs}
    unfinished = {job_id for job_id, status in statuses.items() if status != "finished"}
    assert killed
    assert unfinished == in_hand
    assert len(in_hand) <= killed
    assert {statuses[job_id] for job_id in in_hand} <= {"started"}


def test_an_idle_worker_sends_next_to_nothing_and_begins_at_once(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(queues=("more", "work"))
    result(queue.enqueue(where))
    commands = commands_during(bus.redis, lambda: threading.Event().wait(3))
    # The guard's probe of its subscription and the sweep of the directory; waiting for a job takes no command at all.
    assert [command for command in commands if command != "PING" and bus.keys.due not in command] == []
    queued = queue.enqueue(where)
    result(queued)
    fetched = Job.fetch(queued.id, connection=bus.redis)
    assert fetched.started_at is not None
    assert fetched.enqueued_at is not None
    assert (fetched.started_at - fetched.enqueued_at).total_seconds() < 0.5
