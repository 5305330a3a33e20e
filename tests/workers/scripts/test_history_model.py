"""Whatever jobs are put on a queue, taken, given back, ended or cancelled, one by one or in batches: each is counted once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import notify
from notify.history import read_history
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process
from tests.support.sample_jobs import add, add_when_svc_is_there, add_with_svc, hold, sleep
from tests.workers.conftest import Effects, StartWorkers, claim_next, is_alive
from workers import Queue, rq_keys
from workers.fleet.reaper import Reaper
from workers.overview import histories_of_functions
from workers.scripts import ClaimScripts, Fences, RefillCall
from workers.scripts.run import Ended, Run

NAMES = {function: f"tests.support.sample_jobs.{function.__name__}" for function in (add, sleep, add_with_svc, add_when_svc_is_there)}
FUNCTIONS = st.sampled_from([add, sleep])
STEPS = st.one_of(
    st.tuples(st.just("enqueue"), FUNCTIONS, st.integers(1, 3)),
    st.tuples(st.just("enqueue many"), FUNCTIONS, st.integers(2, 12)),
    st.tuples(st.just("lose"), st.sampled_from([add_with_svc, add_when_svc_is_there]), st.just(1)),
    st.tuples(st.just("take"), st.booleans(), st.integers(1, 8)),
    st.tuples(st.just("end"), st.sampled_from([0.0005, 0.3, 70.0, 5000.0]), st.integers(1, 8)),
    st.tuples(st.just("give back"), st.none(), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.none(), st.just(1)),
)


class World:
    """A queue, one worker, and what was done with them."""

    def __init__(self, bus: notify.Bus) -> None:
        self.queue = Queue("work", connection=bus.redis)
        self.claims = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)
        self.fences = Fences()
        self.taken: list[tuple[Run, str]] = []
        self.done: Counter[tuple[str, str]] = Counter()
        self.seconds: Counter[str] = Counter()

    def count(self, what: str, function: Any, number: int = 1) -> None:
        self.done[what, NAMES.get(function, function)] += number

    def do(self, step: str, how: Any, number: int) -> None:
        getattr(self, step.replace(" ", "_"))(how, number)

    def enqueue(self, function: Any, number: int) -> None:
        for _ in range(number):
            self.queue.enqueue(function, *(() if function is add else (0, "s")))
        self.count("enqueued", function, number)

    def enqueue_many(self, function: Any, number: int) -> None:
        self.queue.enqueue_many([Queue.prepare_data(function, () if function is add else (0, "s")) for _ in range(number)])
        self.count("enqueued", function, number)

    def lose(self, function: Any, _: int) -> None:
        self.queue.enqueue(function)
        self.count("cancelled" if function is add_with_svc else "held", function)

    def refill(self, ended: list[tuple[Run, str]], wanted: int, *, took_s: float = 1.0, twice: bool = False) -> None:
        ends = [Ended(run, 1000.0, 1000.0 + took_s) for run, _ in ended]
        line, number = [run for run, _ in self.taken], self.fences.take(max(1, wanted))
        call = RefillCall([rq_keys.queue("work")], ended=ends, line=line, wanted=wanted, fences=self.fences, number=number)
        answer = self.claims.refill(call)
        if twice:
            again = self.claims.refill(call)
            assert [claim.job_id for claim in again.claims[-len(answer.claims) :]] == [claim.job_id for claim in answer.claims]
        for claim in answer.claims:
            path = claim.fields[b"data"].decode().split('"')[1]
            self.taken.append((Run(claim.job_id, claim.fence), path))
            self.count("started", path)

    def take(self, twice: bool, number: int) -> None:
        self.refill([], number, twice=twice)

    def end(self, took_s: float, number: int) -> None:
        ended, self.taken = self.taken[:number], self.taken[number:]
        self.refill(ended, 0, took_s=took_s, twice=bool(ended))
        for _, path in ended:
            self.count("finished", path)
            self.seconds[path] += took_s

    def give_back(self, _: None, number: int) -> None:
        back, self.taken = self.taken[-number:], self.taken[:-number]
        assert not self.claims.give_back([run for run, _ in back], line=[run for run, _ in self.taken])
        for _, path in back:
            self.count("started", path, -1)

    def cancel(self, _: None, __: int) -> None:
        for job in self.queue.get_jobs(0, 1):
            if job.cancel() is not None:
                self.count("cancelled", job.func_name)


@pytest.mark.any_server
@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=12))
def test_each_job_is_counted_once(bus: notify.Bus, steps: list[Any]) -> None:
    bus.redis.flushdb()
    world = World(bus)
    for step in steps:
        world.do(*step)
    history = read_history(bus.redis, since_s=600)
    found = {pair[1]: points for pair, points in histories_of_functions(history).items()}
    counted = Counter(
        {
            (what, path): number
            for path, points in found.items()
            for what in ("enqueued", "started", "finished", "cancelled", "held")
            if (number := sum(getattr(point, what) for point in points))
        }
    )
    assert counted == +world.done
    for path, points in found.items():
        assert sum(point.work.count for point in points) == world.done["finished", path]
        assert sum(point.work.sum_s for point in points) == pytest.approx(world.seconds[path], abs=1e-3)
        assert sum(point.wait.count for point in points) >= world.done["started", path]


def test_a_claim_alone_counts_as_one_of_a_batch(bus: notify.Bus, queue: Queue) -> None:
    """Also if it is repeated because its answer was lost."""
    queue.enqueue(add)
    queue.enqueue(add)
    first = claim_next(bus, fence="a")
    ended = Ended(Run(first.job_id, "a"), 10.0, 12.0)
    second = claim_next(bus, fence="b", ended=ended)
    claim_next(bus, fence="b", ended=ended, again=True)
    (points,) = histories_of_functions(read_history(bus.redis, since_s=60)).values()
    total = [sum(getattr(point, name) for point in points) for name in ("enqueued", "started", "finished", "failed")]
    assert total == [2, 2, 1, 0]
    assert sum(point.work.sum_s for point in points) == pytest.approx(2.0)
    assert [sum(point.work.count for point in points), sum(point.wait.count for point in points)] == [1, 2]
    claim_next(bus, fence="c", ended=Ended(Run(second.job_id, "b"), 10.0, 10.5))  # no job follows
    (points,) = histories_of_functions(read_history(bus.redis, since_s=60)).values()
    assert [sum(getattr(point, name) for point in points) for name in ("started", "finished")] == [2, 2]


def test_a_job_that_plain_rq_put_on_its_queue_has_waited_since_then(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    bus.redis.hdel(job.key, "turn")
    bus.redis.hset(job.key, "enqueued_at", "2026-01-01T00:00:00.000000Z")
    assert claim_next(bus).answer == "started"
    (points,) = histories_of_functions(read_history(bus.redis, since_s=60)).values()
    waited_s = bus.redis.time()[0] - 1_767_225_600
    assert sum(point.wait.sum_s for point in points) == pytest.approx(waited_s, abs=60)
    assert sum(point.wait.counts[-1] for point in points) == 1


@pytest.mark.parametrize("queue_name", ["a b", "ü%20", "work<=1"])
def test_a_queue_with_an_odd_name_is_counted_under_it(bus: notify.Bus, queue_name: str) -> None:
    queue = Queue(queue_name, connection=bus.redis)
    queue.enqueue(add)
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(2)])
    claim_next(bus, queue_name)
    ((pair, points),) = histories_of_functions(read_history(bus.redis, since_s=60)).items()
    assert pair == (queue_name, NAMES[add])
    assert [sum(getattr(point, name) for point in points) for name in ("enqueued", "started")] == [3, 1]


def test_a_worker_that_is_killed_loses_no_count(bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    job = queue.enqueue(hold, "x")
    (process,) = start_workers().processes
    effects.wait_for("x:begun")
    worker = str(bus.redis.hget(job.key, "worker_name").decode())
    process.kill()
    wait_until(lambda: not is_alive(effects["x:pid"]), what="the end of the job's process")
    Reaper(bus.redis).reap(worker, job.id)
    (points,) = histories_of_functions(read_history(bus.redis, since_s=600)).values()
    total = [sum(getattr(point, name) for point in points) for name in ("enqueued", "started", "finished", "failed")]
    assert total == [1, 1, 0, 1]
    assert sum(point.work.count for point in points) == 0  # nobody knows how long it ran


@pytest.mark.parametrize(("order", "counted"), [("with", 3), ("after", 2), ("before", 4)])
def test_a_kill_between_two_steps_loses_and_doubles_no_count(bus: notify.Bus, server: PrivateServer, order: str, counted: int) -> None:
    """Three jobs are enqueued; a process is killed at the third, and another one does what is left.

    Twins: who counts after the change loses a count, and who counts before it counts the job twice.
    """
    environ = {"NOTIFY_HISTORY": "on" if order == "with" else "off"}
    first = Process("counted.enqueuer", server.url, order, environ=environ)
    try:
        assert first.told() == "between"
        first.kill()
    finally:
        first.dispose()
    second = Process("counted.enqueuer", server.url, order, environ=environ)
    try:
        while second.told() != "done":
            second.go()
    finally:
        second.dispose()
    assert Queue("work", connection=bus.redis).count == 3
    (points,) = histories_of_functions(read_history(bus.redis, since_s=600)).values()
    assert sum(point.enqueued for point in points) == counted


def test_a_server_that_is_killed_and_restarted_has_lost_no_count(own_server: PrivateServer, connect_to: Callable[..., notify.Bus]) -> None:
    bus = connect_to(own_server)
    queue = Queue("work", connection=bus.redis)
    queue.enqueue_many([Queue.prepare_data(add) for _ in range(7)])
    before = read_history(bus.redis, since_s=600).total.counts
    bus.redis.config_set("appendfsync", "always")
    queue.enqueue(add)
    own_server.kill()
    own_server.restart()
    after = read_history(bus.redis, since_s=600).total.counts
    assert after == {words: number + 1 for words, number in before.items()}
