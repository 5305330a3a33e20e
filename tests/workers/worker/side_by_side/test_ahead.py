"""Jobs that are claimed before there is room for them: which are, when they begin, and that they go back."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest

import notify
from notify.testing import wait_until
from tests.support import async_jobs as jobs
from tests.workers.conftest import Effects, children, result
from tests.workers.worker.side_by_side.conftest import ended
from workers import Job, Queue, rq_keys

LEASE_S = 1.0
TRIES = 20


def enqueue_behind(queue: Queue, function: Callable[..., Any], *, tag: str = "") -> list[Job]:
    """Enqueue short jobs, then two that are held and leave no room, and one behind them. Returns these three."""
    made = [(f"short{number}{tag}", 0.004) for number in range(12)] + [(f"{name}{tag}", -1) for name in ("a", "b", "behind")]
    return list(queue.enqueue_many([Queue.prepare_data(function, each) for each in made]))[-3:]


def catch_ahead(bus: notify.Bus, queue: Queue, effects: Effects, worker: int) -> Iterator[tuple[list[Job], str]]:
    """Freeze the worker, again and again, while it has claimed a job that has not begun. Yields the jobs and the end of their names."""
    for number in range(TRIES):
        made, tag = enqueue_behind(queue, jobs.quick_or_held, tag=f"-{number}"), f"-{number}"
        effects.wait_for(f"b{tag}:begun")
        for _ in range(500):
            if bus.redis.hget(rq_keys.job(made[2].id), "status") == b"started":
                os.kill(worker, SIGSTOP)
                break
        try:
            if bus.redis.hget(rq_keys.job(made[2].id), "status") == b"started" and not effects[f"behind{tag}:begun"]:
                yield made, tag
        finally:
            with suppress(ProcessLookupError):  # a test may have killed it
                os.kill(worker, SIGCONT)
        for name in ("a", "b", "behind"):
            effects.let_go(f"{name}{tag}")
        assert [result(job) for job in made] == [None] * 3
        assert effects[f"behind{tag}:begun"] == 1


def test_a_job_that_was_claimed_ahead_begins_when_another_ends_without_its_worker(
    bus: notify.Bus, queue: Queue, effects: Effects, start: Any
) -> None:
    """Its worker is frozen; in some tries before it has told the horse."""
    worker, found = start().processes[0].pid, 0
    for _, tag in catch_ahead(bus, queue, effects, worker):
        effects.let_go(f"a{tag}")
        with suppress(TimeoutError):
            wait_until(lambda tag=tag: effects[f"behind{tag}:begun"], timeout_s=0.2)
            found += 1
        if found == 2:
            for name in ("b", "behind"):
                effects.let_go(f"{name}{tag}")
            break
    assert found == 2


@pytest.mark.parametrize("victim", ["worker", "horse", "both"])
def test_after_a_kill_it_begins_once_and_those_that_had_begun_fail(
    bus: notify.Bus, queue: Queue, effects: Effects, start: Any, victim: str
) -> None:
    """That it went back or to the next horse shows in its end: one that had begun would have failed."""
    worker = start(lease_s=LEASE_S).processes[0].pid
    tries = catch_ahead(bus, queue, effects, worker)
    made, tag = next(tries)
    ((horse,),) = map(children, children(worker))
    for pid in {"worker": (worker,), "horse": (horse,), "both": (horse, worker)}[victim]:
        os.kill(pid, SIGKILL)
    if victim == "horse":
        os.kill(worker, SIGCONT)
    else:
        wait_until(lambda: queue.get_job_ids() == [made[2].id], what="the job to be queued again")
        start(lease_s=LEASE_S)
    effects.wait_for(f"behind{tag}:begun")
    effects.let_go(f"behind{tag}")
    assert [ended(job)[0] for job in made] == ["failed", "failed", "finished"]
    assert effects[f"behind{tag}:begun"] == 1


@pytest.mark.parametrize("window", [None, 1])
def test_it_goes_back_when_no_room_comes_and_none_is_claimed_with_a_window_of_one(
    bus: notify.Bus, queue: Queue, effects: Effects, start: Any, window: int | None
) -> None:
    """The window of one is the twin: nothing is claimed that could go back."""
    start(window=window)
    seen = 0
    for number in range(TRIES):
        made, tag = enqueue_behind(queue, jobs.quick_or_held, tag=f"-{number}"), f"-{number}"
        effects.wait_for(f"b{tag}:begun")
        effects.wait_for(f"a{tag}:begun")
        for _ in range(200):
            seen += bus.redis.hget(rq_keys.job(made[2].id), "status") == b"started"
        wait_until(lambda job=made[2]: queue.get_job_ids() == [job.id], timeout_s=1, what="the job to be on its queue")
        assert effects[f"behind{tag}:begun"] == 0
        for name in ("a", "b", "behind"):
            effects.let_go(f"{name}{tag}")
        assert [result(job) for job in made] == [None] * 3
        if seen and window is None:
            break
    assert (seen > 0) == (window is None)


def test_a_job_that_needs_a_service_is_not_claimed_before_there_is_room(
    bus: notify.Bus, queue: Queue, effects: Effects, start: Any
) -> None:
    """The twin is the test above: without the need such a job is claimed, and goes back."""
    start()
    with bus.service("svc", ttl_s=5):
        for number in range(5):
            made, tag = enqueue_behind(queue, jobs.quick_or_held_with_svc, tag=f"-{number}"), f"-{number}"
            effects.wait_for(f"b{tag}:begun")
            for _ in range(200):
                assert bus.redis.hget(rq_keys.job(made[2].id), "status") == b"queued"
            for name in ("a", "b", "behind"):
                effects.let_go(f"{name}{tag}")
            assert [result(job) for job in made] == [None] * 3


def test_no_job_begins_after_its_cancel_has_returned(queue: Queue, effects: Effects, start: Any) -> None:
    """Some are cancelled while they are claimed ahead, or about to begin: these are told as stopped, and never begin."""
    start()
    caught = 0
    for first in range(0, 120 * TRIES, 120):
        made = {first + each: queue.enqueue(jobs.quick_few, first + each) for each in range(120)}
        returned_ns: dict[int, int] = {}
        for number in range(first + 10, first + 120, 5):
            effects.wait_for(f"few:{number - 1 - number // 5 % 4}:begun")  # it comes soon
            made[number].cancel("no more")
            returned_ns[number] = time.monotonic_ns()
        ends = {number: ended(job)[0] for number, job in made.items()}
        late = [number for number, at_ns in returned_ns.items() if effects[f"few:{number}:at"] > at_ns]
        assert late == []
        others = made.keys() - returned_ns.keys()
        assert {(ends[number], effects[f"few:{number}:begun"]) for number in others} == {("finished", 1)}
        caught += sum(ends[number] == "stopped" and not effects[f"few:{number}:begun"] for number in returned_ns)
        if caught > 2:
            break
    assert caught > 2
