"""Jobs in batches, with real processes: claimed ahead, given back, cancelled and killed. The window is forced to its largest size."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import BEGUN, TIMES, begin
from tests.support.faults import server_ms
from tests.support.sample_jobs import hold
from tests.workers.conftest import Effects, StartWorkers, children, is_alive
from workers import Job, Outcome, Pool, Queue, rq_keys
from workers.scripts import JobScripts

MODULES = ("tests.support.batch_jobs", "tests.support.sample_jobs")
WINDOW = 32


@pytest.fixture
def start_batches(start_workers: StartWorkers) -> StartWorkers:
    def start(size: int = 1, *, window: int = WINDOW, **options: Any) -> Pool:
        return start_workers(size, modules=MODULES, window=window, **options)

    return start


def put(queue: Queue, *seconds: float, first: int = 0, **options: Any) -> list[Job]:
    """Enqueue jobs that take so long, in this order."""
    calls = [
        Queue.prepare_data(begin, [each], job_id=f"job-{number}", timeout=30, **options) for number, each in enumerate(seconds, start=first)
    ]
    return list(queue.enqueue_many(calls))


def begun(bus: notify.Bus) -> list[str]:
    names: Any = bus.redis.lrange(BEGUN, 0, -1)
    return [name.decode() for name in names]


def wait_for_all(jobs: list[Job], bus: notify.Bus) -> dict[str, str]:
    """Wait until all have ended. Return the status of each."""
    finished, failed = rq_keys.finished("work"), rq_keys.failed("work")
    wait_until(lambda: bus.redis.zcard(finished) + bus.redis.zcard(failed) >= len(jobs), timeout_s=30, what="the end of all jobs")
    outcomes = {job.id: job.outcome for job in jobs}
    return {job_id: "" if outcome is None else outcome.status for job_id, outcome in outcomes.items()}


def claimed_ahead(bus: notify.Bus) -> list[str]:
    """The jobs that are started and have not begun."""
    entries: Any = bus.redis.zrange(rq_keys.started("work"), 0, -1)
    return [name for name in (entry.decode().rpartition(":")[0] for entry in entries) if name not in begun(bus)]


@pytest.mark.parametrize("window", [1, WINDOW])
def test_one_worker_keeps_the_order_of_a_queue_also_of_what_it_gave_back(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers, window: int
) -> None:
    dice = random.Random(window)
    jobs = put(queue, *(dice.choice((0.0, 0.0, 0.0, 0.003, 0.05)) for _ in range(120)))
    start_batches(window=window)
    assert set(wait_for_all(jobs, bus).values()) == {"finished"}
    assert begun(bus) == [job.id for job in jobs]
    assert (queue.started_job_registry.get_job_ids(), list(bus.redis.scan_iter("rq:execution*"))) == ([], [])


def test_jobs_behind_a_long_one_go_back_and_another_worker_takes_them(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers, effects: Effects
) -> None:
    start_batches()
    put(queue, 0.0)
    wait_until(lambda: begun(bus))
    put(queue, 0.0, first=1)
    long, rest = queue.enqueue(hold, "x"), put(queue, *[0.0] * 20, first=2)
    effects.wait_for("x:begun")
    wait_until(lambda: queue.get_job_ids() == [job.id for job in rest], timeout_s=2, what="the jobs behind it, in their order")
    wait_until(lambda: (queue.started_job_registry.get_job_ids(), len(long.get_executions())) == ([long.id], 1), what="the ends before it")
    start_batches()
    assert set(wait_for_all(rest, bus).values()) == {"finished"}
    effects.let_go("x")
    assert long.wait(10) == Outcome("finished")


def test_a_claimed_job_is_started_for_everybody_and_its_events_come_in_order(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers, collect: Any
) -> None:
    with bus.subscribe("job.work") as events:
        jobs = put(queue, *[0.01] * 30)
        (worker,) = start_batches().processes
        waiting = wait_until(lambda: claimed_ahead(bus), what="jobs that are claimed ahead")
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            ahead = waiting[-1]
            assert (Job.fetch(ahead, connection=bus.redis).get_status(), ahead in queue.get_job_ids()) == ("started", False)
            assert ahead in queue.started_job_registry.get_job_ids(cleanup=False)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        wait_for_all(jobs, bus)
        told: dict[str, list[str]] = {}
        for event in collect(events, 90):
            told.setdefault(event.contents["job"], []).append(event.contents["status"])
    assert set(map(tuple, told.values())) == {("enqueued", "started", "finished")}


def test_a_cancelled_job_that_was_claimed_ahead_never_begins(bus: notify.Bus, queue: Queue, start_batches: StartWorkers) -> None:
    start_batches()
    stopped: list[str] = []
    for number in range(20):
        jobs = put(queue, *[0.004] * 10, first=10 * number)
        wait_until(lambda jobs=jobs: jobs[1].id in begun(bus))
        last = jobs[random.randint(3, 9)]
        began = time.monotonic()
        outcome = last.cancel("no more")
        assert time.monotonic() - began < 1, "the worker answers at once"
        at_return = begun(bus)
        others = [job for job in jobs if job is not last]
        wait_until(lambda others=others: all(job.outcome for job in others), timeout_s=10)
        assert outcome is not None
        assert (last.id in at_return) or last.id not in begun(bus), f"{outcome} and it began after the cancel had returned"
        stopped += [last.id] if outcome.status == "stopped" else []
    assert stopped
    assert max(Counter(begun(bus)).values()) == 1
    wait_until(lambda: queue.started_job_registry.get_job_ids() == [], what="the end of the last stopped run, which is recorded by itself")


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_no_job_begins_after_its_cancel_returned_although_its_worker_is_frozen(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The horse goes on with what it has, and nobody obeys the stop. The twin does not wait for the word of the worker."""
    if kind == "twin":
        monkeypatch.setattr(JobScripts, "wait_until_begun_or_not", lambda *_: None)
    (worker,) = start_batches().processes
    jobs = put(queue, *[0.01] * 30)
    wait_until(lambda: len(begun(bus)) > 2 and len(claimed_ahead(bus)) > 10)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        last = Job.fetch(claimed_ahead(bus)[10], connection=bus.redis)  # the horse has it; the answer with later ones may be on its way
        assert last.cancel().status == "stopped"
        returned_ms = server_ms(bus.redis)
        wait_until(lambda: bus.redis.hget(TIMES, last.id), timeout_s=5, what="its beginning")
        assert (int(bus.redis.hget(TIMES, last.id) or 0) > returned_ms) == (kind == "twin")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    outcomes = wait_for_all(jobs, bus)
    assert outcomes.pop(last.id) == "stopped"
    assert set(outcomes.values()) == {"finished"}


@pytest.mark.parametrize("victim", ["worker", "horse", "both"])
def test_a_kill_hits_one_job_and_none_that_had_not_begun(bus: notify.Bus, queue: Queue, start_batches: StartWorkers, victim: str) -> None:
    """No job may be tried again; so none may begin twice."""
    dice, kills = random.Random(victim), 4
    jobs = put(queue, *(dice.choice((0.0, 0.0, 0.002)) for _ in range(1500)))
    pool = start_batches(lease_s=2.0)
    for number in range(kills):
        pool = start_batches(lease_s=2.0) if victim != "horse" and number else pool
        wait_until(lambda number=number: len(begun(bus)) > 200 * (number + 1), timeout_s=30, what="some progress")
        threading.Event().wait(dice.uniform(0, 0.01))
        (worker,) = pool.processes
        (fork_server,) = children(worker.pid)
        horse = children(fork_server)
        if victim != "horse":
            worker.kill()
        for pid in horse if victim != "worker" else ():
            with suppress(ProcessLookupError):  # the fork server of a killed worker may have been faster
                os.kill(pid, signal.SIGKILL)
        if victim != "horse":  # however long the last will takes: nobody takes the worker for dead meanwhile
            wait_until(lambda pid=fork_server: not is_alive(pid), timeout_s=20, what="the last will")
    start_batches(lease_s=2.0)
    outcomes = wait_for_all(jobs, bus)
    assert max(Counter(begun(bus)).values()) == 1, "a job began twice"
    fallen = [job_id for job_id, status in outcomes.items() if status != "finished"]
    why = Counter(str(Job.fetch(job_id, connection=bus.redis).outcome) for job_id in fallen[kills : kills + 40])
    assert len(fallen) <= kills, (Counter(outcomes.values()), len(begun(bus)), queue.count, fallen[:40], why)
    assert {outcomes[job_id] for job_id in fallen} <= {"failed"}
    assert set(begun(bus)) >= {job_id for job_id, status in outcomes.items() if status == "finished"}


def test_nothing_begins_twice_although_nobody_is_left_to_say_what_had_begun(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers
) -> None:
    """Worker, fork server and horse are killed at once, as by a host that fails."""
    start_batches(queues=("none",), lease_s=1.0)
    jobs = put(queue, *[0.005] * 60)
    (worker,) = start_batches(lease_s=1.0).processes
    wait_until(lambda: len(begun(bus)) > 3)
    (fork_server,) = children(worker.pid)
    for pid in (fork_server, worker.pid, *children(fork_server)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: queue.started_job_registry.get_job_ids(cleanup=False) == [], timeout_s=15, what="the reaper")
    start_batches()
    outcomes = wait_for_all(jobs, bus)
    assert max(Counter(begun(bus)).values()) == 1
    # A line holds those that ended since the last call to the server as well: a worker that waits for its turn has two windows at most.
    assert 1 <= list(outcomes.values()).count("failed") < 2 * WINDOW


def test_large_calls_and_results_in_a_batch_do_not_block_worker_and_horse(
    bus: notify.Bus, queue: Queue, start_batches: StartWorkers
) -> None:
    """Each fits into the buffers of the sockets, and all together do not."""
    sizes = [100, 30_000, 60_000, 300_000]
    calls = [Queue.prepare_data(begin, [0.0, "x" * min(size, 60_000), size]) for size in sizes * 15]
    jobs = list(queue.enqueue_many(calls))
    start_batches()
    assert set(wait_for_all(jobs, bus).values()) == {"finished"}
    assert [len(str(job.return_value())) for job in jobs] == sizes * 15


def test_a_worker_that_is_told_to_end_gives_back_what_has_not_begun(bus: notify.Bus, queue: Queue, start_batches: StartWorkers) -> None:
    jobs = put(queue, *[0.015] * 40)
    pool = start_batches()
    wait_until(lambda: len(begun(bus)) > 2)
    pool.close(grace_s=5)
    done = begun(bus)
    assert queue.get_job_ids() == [job.id for job in jobs if job.id not in done]
    assert (len(done) < 40, queue.started_job_registry.get_job_ids()) == (True, [])
    assert {job.outcome for job in jobs if job.id in done} == {Outcome("finished")}
