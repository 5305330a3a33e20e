"""Kills while jobs run side by side: each that had begun ends by its rule, once; what had not begun is queued again."""

import os
import random
from contextlib import suppress
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import pytest
from rq import Retry

from notify.testing import wait_until
from tests.support import async_jobs as jobs
from tests.workers.conftest import Effects, children, is_alive, result
from tests.workers.worker.side_by_side.conftest import begun, ended
from workers import Queue

NAMES = tuple("abcdef")
LEASE_S = 1.0


def horse_of(pool: Any) -> int:
    (fork_server,) = children(pool.processes[0].pid)
    (horse,) = children(fork_server)
    return horse


@pytest.mark.parametrize("victim", ["horse", "worker", "both"])
def test_after_a_kill_each_run_ends_by_its_rule_and_none_twice(queue: Queue, effects: Effects, start: Any, victim: str) -> None:
    pool = start(lease_s=LEASE_S)
    retried = begun(queue, effects, jobs.hold_beside, *NAMES[:3], retry=Retry(max=1))
    failed = begun(queue, effects, jobs.hold_beside, *NAMES[3:])
    worker, horse = pool.processes[0].pid, horse_of(pool)
    for pid in {"horse": (horse,), "worker": (worker,), "both": (worker, horse)}[victim]:
        os.kill(pid, SIGKILL)
    start(lease_s=LEASE_S)
    for name in NAMES[:3]:
        effects.wait_for(f"{name}:begun", 2)
        effects.let_go(name)
    assert [result(job) for job in retried] == list(NAMES[:3])
    assert {ended(job)[0] for job in failed} == {"failed"}
    assert [effects[f"{name}:begun"] for name in NAMES] == [2, 2, 2, 1, 1, 1]
    wait_until(lambda: not queue.started_job_registry.get_job_ids(cleanup=False), what="the end of the runs")


def test_the_ends_that_a_killed_worker_had_not_recorded_are_recorded(queue: Queue, effects: Effects, start: Any) -> None:
    """A frozen worker records nothing; the replies wait in its socket, out of order, beside a run that goes on."""
    pool = start(lease_s=LEASE_S)
    made = begun(queue, effects, jobs.hold_beside, *NAMES)
    worker = pool.processes[0].pid
    os.kill(worker, SIGSTOP)
    for name in reversed(NAMES[1:]):
        effects.let_go(name)
        effects.wait_for(f"{name}:done")
    os.kill(worker, SIGKILL)
    start(lease_s=LEASE_S)
    assert [result(job) for job in made[1:]] == list(NAMES[1:])
    assert ended(made[0])[0] == "failed"
    assert [effects[f"{name}:begun"] for name in NAMES] == [1] * len(NAMES)


def test_a_worker_that_is_told_to_end_waits_for_what_has_begun_and_claims_no_more(queue: Queue, effects: Effects, start: Any) -> None:
    pool = start()
    made = begun(queue, effects, jobs.hold_beside, "a", "b")
    worker = pool.processes[0].pid
    os.kill(worker, SIGTERM)
    pool.processes[0].send_signal(SIGTERM)
    late = queue.enqueue(jobs.hold_beside, "late")
    for name in "ba":
        effects.let_go(name)
    assert [result(job) for job in made] == ["a", "b"]
    wait_until(lambda: not is_alive(worker), timeout_s=15, what="the end of the worker")
    assert (late.get_status(), effects["late:begun"]) == ("queued", 0)


def test_what_waits_behind_a_job_that_blocks_the_loop_is_queued_again(queue: Queue, effects: Effects, start: Any) -> None:
    start(2)
    (blocking,) = [queue.enqueue(jobs.block, 3.0)]
    effects.wait_for("block:begun")
    made = begun(queue, effects, jobs.hold_beside, "a", "b")
    for name in "ab":
        effects.let_go(name)
    assert [result(job) for job in made] == ["a", "b"]
    assert ended(blocking)[0] == "finished"


def test_no_job_is_lost_and_none_without_a_retry_rule_runs_twice_in_many_kills(queue: Queue, effects: Effects, start: Any) -> None:
    dice, workers = random.Random(), [start(1, lease_s=LEASE_S), start(1, lease_s=LEASE_S)]
    once = queue.enqueue_many([Queue.prepare_data(jobs.quick, [number]) for number in range(300)])
    again = queue.enqueue_many([Queue.prepare_data(jobs.quick, [number], retry=Retry(max=50)) for number in range(300, 600)])
    for quarter in range(8):
        wait_until(lambda least=75 * quarter: ended_of(queue) >= least, timeout_s=15, what=f"{75 * quarter} ends")
        pool = dice.choice(workers)
        (process,) = pool.processes
        if dice.random() < 0.5:
            process.kill()
            workers.remove(pool)
            workers.append(start(1, lease_s=LEASE_S))
        else:
            kill_horse_of(process.pid)
    assert [ended(job)[0] for job in again] == ["finished"] * 300
    assert {ended(job)[0] for job in once} <= {"finished", "failed"}
    assert max(effects[f"quick:{number}"] for number in range(300)) == 1
    assert min(effects[f"quick:{number}"] for number in range(300, 600)) >= 1


def test_no_job_begins_twice_in_many_kills_and_no_more_fail_than_had_room(queue: Queue, effects: Effects, start: Any) -> None:
    """Others are claimed ahead all the time: they are queued again."""
    dice, workers = random.Random(), [start(1, lease_s=LEASE_S), start(1, lease_s=LEASE_S)]
    made = queue.enqueue_many([Queue.prepare_data(jobs.quick_few, [number]) for number in range(400)])
    for number in range(6):
        wait_until(lambda least=60 * (number + 1): ended_of(queue) >= least, timeout_s=15, what=f"{60 * (number + 1)} ends")
        pool = dice.choice(workers)
        (process,) = pool.processes
        if number % 2:
            process.kill()
            workers.remove(pool)
            workers.append(start(1, lease_s=LEASE_S))
        else:
            kill_horse_of(process.pid)
    statuses = [ended(job)[0] for job in made]
    assert set(statuses) <= {"finished", "failed"}
    begun_in = [effects[f"few:{number}:begun"] for number in range(400)]
    assert max(begun_in) == 1
    assert min(count for count, status in zip(begun_in, statuses, strict=True) if status == "finished") == 1
    assert statuses.count("failed") <= 6 * 4, "so many may have begun"


def ended_of(queue: Queue) -> int:
    """The number of jobs of a queue that have ended."""
    return int(queue.finished_job_registry.count + queue.failed_job_registry.count)


def kill_horse_of(worker: int) -> None:
    """Kill the horse of a worker, if it has one now."""
    for server in children(worker):
        for horse in children(server):
            with suppress(ProcessLookupError):
                os.kill(horse, SIGKILL)
