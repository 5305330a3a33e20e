"""What idle workers cost: connections, commands, and wake-ups for each job."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
import rq

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.faults import commands_during
from tests.support.sample_jobs import add
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import Outcome, Pool, Queue, WorkerOptions, rq_keys
from workers.scripts import JobScripts

MANY = 20
JOBS = 60
BURST = 500
IDLE_COMMANDS_A_SECOND = 12.0
"""Of one idle worker, inside scripts too: its lease, its sweep, its wait."""


def calls(bus: notify.Bus, *commands: str) -> int:
    """How often the server was sent these commands so far."""
    stats: Any = bus.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in commands)


def all_calls(bus: notify.Bus) -> int:
    """All commands so far, those inside scripts too."""
    stats: Any = bus.redis.info("commandstats")
    return sum(each["calls"] for each in stats.values())


def is_tracking(bus: notify.Bus) -> bool:
    return any("t" in client["flags"] for client in bus.redis.client_list())


def blocked(bus: notify.Bus) -> int:
    return sum("b" in client["flags"] for client in bus.redis.client_list())


def test_a_worker_has_four_connections_however_many_queues_it_serves(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus:
        mine = {client["name"] for client in bus.redis.client_list()}
        queues = ("work", "a", "b", "c", "d")
        with Pool(WorkerOptions(settings=bus.settings, queues=queues, modules=(SAMPLE,)), size=1):
            assert Queue("work", connection=bus.redis).enqueue(add).wait(15) == Outcome("finished")
            wait_until(lambda: sum(client["name"] not in mine for client in bus.redis.client_list()) <= 4, what="the rest of the horse")
            time.sleep(1.5)  # this is what is measured: none is opened and closed all the time
            opened = bus.redis.info("stats")["total_connections_received"]
            time.sleep(2.0)  # as above
            assert bus.redis.info("stats")["total_connections_received"] - opened <= 1
            assert sum(client["name"] not in mine for client in bus.redis.client_list()) == 4


@contextmanager
def idle_workers(bus: notify.Bus, size: int) -> Iterator[None]:
    with Pool(WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,), window=1), size=size):
        wait_until(lambda: blocked(bus) == size, timeout_s=60, what="idle workers")
        yield


def costs_of(bus: notify.Bus, size: int, run: Callable[[], object], jobs: int) -> tuple[float, float]:
    """The waits of workers and all commands, inside scripts too, for each of the jobs, without those that idle workers send anyway."""
    with idle_workers(bus, size):
        began, waits, commands = time.monotonic(), calls(bus, "blpop", "blmove"), all_calls(bus)
        run()
        lasted_s = time.monotonic() - began
        waited, cost = calls(bus, "blpop", "blmove") - waits, all_calls(bus) - commands
    return (waited - size * lasted_s) / jobs, (cost - size * IDLE_COMMANDS_A_SECOND * lasted_s) / jobs


@pytest.mark.any_server
@pytest.mark.slow
def test_a_job_costs_with_many_idle_workers_what_it_costs_with_one(own_server: PrivateServer) -> None:
    """Experiment 31: 9 workers woke for each job when all waited for the list of the queue itself."""
    with notify.connect(own_server.url) as bus:
        queue = Queue("work", connection=bus.redis)

        def one_by_one() -> None:
            for _ in range(JOBS):
                assert queue.enqueue(add).wait(15) == Outcome("finished")

        def as_fast_as_it_can() -> None:
            finished = bus.redis.zcard(rq_keys.finished("work"))
            for _ in range(BURST):
                queue.enqueue(add)
            wait_until(lambda: bus.redis.zcard(rq_keys.finished("work")) == finished + BURST, timeout_s=60)

        waits, _ = costs_of(bus, MANY, one_by_one, JOBS)
        assert waits <= 1.2
        _, one = costs_of(bus, 1, as_fast_as_it_can, BURST)
        waits, many = costs_of(bus, MANY, as_fast_as_it_can, BURST)
        assert waits <= 0.6
        assert many <= 1.2 * one


def test_a_job_of_plain_rq_wakes_a_worker_at_once(bus: notify.Bus, start_workers: StartWorkers, effects: Effects) -> None:
    """No token is left for it; the leader hears of the push. Without that each would wait a second: the worker has just looked."""
    start_workers()
    wait_until(lambda: bus.redis.exists(bus.keys.leader) and is_tracking(bus), what="the leader")
    with redis.Redis(connection_pool=bus.redis.connection_pool) as plain:
        queue = rq.Queue("work", connection=plain, serializer="json")
        began = time.monotonic()
        for number in range(8):
            queue.enqueue(add, f"x{number}")
            effects.wait_for(f"x{number}")
        assert time.monotonic() - began < 8 * 0.5


def test_the_leader_looks_at_a_busy_queue_of_plain_rq_200_times_a_second_at_most(bus: notify.Bus, start_workers: StartWorkers) -> None:
    """Not at each push, also while nobody serves that queue."""
    start_workers()
    wait_until(lambda: bus.redis.exists(bus.keys.leader) and is_tracking(bus), what="the leader")
    look, lasted_s = JobScripts(bus.redis).digest("wake_idle"), 0.0

    def push() -> None:
        nonlocal lasted_s
        began = time.monotonic()
        for number in range(1_000):
            bus.redis.rpush(rq_keys.queue("plain"), f"j{number}")
        bus.redis.sadd(rq_keys.QUEUES, rq_keys.queue("plain"))
        lasted_s = time.monotonic() - began

    looks = sum(look in command for command in commands_during(bus.redis, push))
    assert looks <= 200 * lasted_s + 5


def test_jobs_behind_a_long_one_wake_the_other_workers(queue: Queue, start_workers: StartWorkers, effects: Effects) -> None:
    start_workers(2)
    assert queue.enqueue(add).wait(15) == Outcome("finished")
    for name in ("x", "y"):
        queue.enqueue("tests.support.sample_jobs.hold", name)
    effects.wait_for("y:begun")
    for name in ("x", "y"):
        effects.let_go(name)
    wait_until(lambda: queue.finished_job_registry.count == 3, timeout_s=10)


def test_no_token_outlives_the_jobs_it_was_for(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    jobs = queue.enqueue_many([Queue.prepare_data(add) for _ in range(50)])
    assert 0 < bus.redis.llen(bus.keys.wake("work")) <= 32
    assert 0 < bus.redis.pttl(bus.keys.wake("work")) <= 60_000
    start_workers(burst=True)
    wait_until(lambda: bus.redis.zcard(rq_keys.finished("work")) == len(jobs), timeout_s=15)
    wait_until(lambda: not bus.redis.exists(bus.keys.wake("work")))
