"""Who is woken for a job: nobody while a worker serves its queue, one worker at once if none does, two when a job is not short."""

from collections.abc import Callable
from typing import Any

import pytest

import notify
from tests.support.faults import commands_during
from tests.support.sample_jobs import add
from tests.workers.conftest import claim_next
from workers import Queue
from workers.scripts import Claim
from workers.scripts.jobs import JobScripts
from workers.scripts.run import Ended

SHORT_S, LONGER_S = 0.0005, 0.005


def tokens(bus: notify.Bus) -> int:
    """The tokens that were left for idle workers; takes them, as those workers do."""
    key, found = bus.keys.wake("work"), bus.redis.llen(bus.keys.wake("work"))
    bus.redis.delete(key)
    return int(found)


def serve(bus: notify.Bus, claim: Callable[[], Claim]) -> Claim:
    """Claim a job, and have the queue served for longer than the 50 ms for which the claim notes that."""
    claims: list[Claim] = []
    commands = commands_during(bus.redis, lambda: claims.append(claim()), in_scripts=True)
    assert f"SET {bus.keys.served('work')} w PX 50" in commands
    bus.redis.set(bus.keys.served("work"), "w", px=5_000)
    return claims[0]


def next_after(bus: notify.Bus, claim: Claim, run_s: float, *, fence: str) -> Claim:
    return claim_next(bus, fence=fence, ended=Ended(claim.run, 1_000.0, 1_000.0 + run_s, None))


def leave(bus: notify.Bus) -> int:
    """What a worker does once its job is not short."""
    return JobScripts(bus.redis).wake_idle(["work"], is_leaving=True)


def look(bus: notify.Bus) -> int:
    """What the leader does after a push."""
    return JobScripts(bus.redis).wake_idle(["work"], is_leaving=False)


def test_the_first_of_several_pushes_wakes_a_worker(bus: notify.Bus, queue: Queue) -> None:
    commands = commands_during(bus.redis, lambda: queue.enqueue(add), in_scripts=True)
    assert f"SET {bus.keys.served('work')}  PX 50" in commands
    assert tokens(bus) == 1
    bus.redis.set(bus.keys.served("work"), "", px=5_000)
    for _ in range(5):
        queue.enqueue(add)  # the one that was woken is on its way
    assert tokens(bus) == 0


def test_a_push_to_a_queue_that_is_served_wakes_nobody(bus: notify.Bus, queue: Queue) -> None:
    """Also while its list is empty: the worker is back soon. With 20 idle workers each such push woke one."""
    queue.enqueue(add)
    serve(bus, lambda: claim_next(bus))
    tokens(bus)
    queue.enqueue(add)
    assert tokens(bus) == 0


@pytest.mark.parametrize("worker_is", ["dead", "idle", "at a long job"])
def test_a_push_to_a_queue_that_is_not_served_wakes_a_worker(bus: notify.Bus, queue: Queue, worker_is: str) -> None:
    """The twin: the mark of a worker that is not coming back keeps nobody asleep."""
    queue.enqueue(add)
    claim = serve(bus, lambda: claim_next(bus))
    tokens(bus)
    if worker_is == "dead":
        bus.redis.delete(bus.keys.served("work"))  # it expires
    elif worker_is == "idle":
        assert next_after(bus, claim, SHORT_S, fence="2").answer == ""
    else:
        leave(bus)
    queue.enqueue(add)
    assert tokens(bus) == 1


def test_a_worker_that_finds_nothing_lets_another_one_serve_the_queue(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue(add)
    claim_next(bus)
    tokens(bus)
    bus.redis.set(bus.keys.served("work"), "another", px=5_000)
    assert claim_next(bus, fence="2").answer == ""
    queue.enqueue(add)
    assert tokens(bus) == 0


def test_a_backlog_wakes_a_second_worker_only_once_the_first_shows_how_fast_it_is(bus: notify.Bus, queue: Queue) -> None:
    for _ in range(8):
        queue.enqueue(add)
    tokens(bus)
    claim = claim_next(bus)
    assert tokens(bus) == 0
    bus.redis.set(bus.keys.woken("work"), "1", px=400)  # however long this took
    claims: list[Claim] = []
    commands = commands_during(bus.redis, lambda: claims.append(next_after(bus, claim, LONGER_S, fence="3")), in_scripts=True)
    assert tokens(bus) == 1
    assert f"SET {bus.keys.woken('work')} 1 PX 50" in commands


def test_a_backlog_wakes_nobody_until_its_pace_is_over(bus: notify.Bus, queue: Queue) -> None:
    for _ in range(8):
        queue.enqueue(add)
    claim = claim_next(bus)
    tokens(bus)
    bus.redis.set(bus.keys.woken("work"), "1", px=400)
    claim = next_after(bus, claim, SHORT_S, fence="2")
    assert tokens(bus) == 0
    bus.redis.delete(bus.keys.woken("work"))  # it expires
    next_after(bus, claim, SHORT_S, fence="3")
    assert tokens(bus) == 1


def test_a_long_backlog_of_short_jobs_wakes_more_workers(bus: notify.Bus, queue: Queue) -> None:
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(2_002)])
    claim = claim_next(bus)
    tokens(bus)
    next_after(bus, claim, SHORT_S, fence="2")
    assert tokens(bus) == 1


@pytest.mark.parametrize(("behind", "woken"), [(0, 0), (1, 1), (5, 2)])
def test_a_job_that_is_not_short_wakes_two_workers_for_the_jobs_behind_it(bus: notify.Bus, queue: Queue, behind: int, woken: int) -> None:
    queue.enqueue(add)
    claim_next(bus)
    for _ in range(behind):
        queue.enqueue(add)
    tokens(bus)
    assert leave(bus) == 0
    assert tokens(bus) == woken


def test_the_leader_wakes_a_worker_for_jobs_of_others_unless_one_serves_the_queue(bus: notify.Bus) -> None:
    push: Any = lambda: bus.redis.rpush("rq:queue:work", "j")  # noqa: E731  # plain RQ's way
    push()
    assert (look(bus), tokens(bus)) == (0, 1)
    bus.redis.set(bus.keys.served("work"), "", px=5_000)
    assert (look(bus), tokens(bus)) == (1, 0), "it is on its way: look again"
    bus.redis.delete(bus.keys.served("work"))
    assert (look(bus), bus.redis.llen(bus.keys.wake("work"))) == (0, 1)
    assert (look(bus), tokens(bus)) == (0, 1), "nobody takes the token, so nobody listens"
