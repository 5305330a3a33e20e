"""What idle workers cost: connections, commands, and wake-ups for each job."""

import time
from typing import Any

import pytest
import redis
import rq

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from workers import Outcome, Pool, Queue, WorkerOptions, rq_keys

MANY = 8
JOBS = 60


def calls(bus: notify.Bus, *commands: str) -> int:
    """How often the server was sent these commands so far."""
    stats: Any = bus.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in commands)


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
            time.sleep(2.0)
            assert bus.redis.info("stats")["total_connections_received"] - opened <= 1
            assert sum(client["name"] not in mine for client in bus.redis.client_list()) == 4


@pytest.mark.any_server
@pytest.mark.slow
def test_one_job_wakes_one_of_many_idle_workers(own_server: PrivateServer) -> None:
    """Experiment 31: 9 workers woke for each job when all waited for the list of the queue itself."""
    with notify.connect(own_server.url) as bus:
        queue = Queue("work", connection=bus.redis)
        with Pool(WorkerOptions(settings=bus.settings, queues=("work",), modules=(SAMPLE,)), size=MANY):
            wait_until(lambda: blocked(bus) == MANY, timeout_s=60, what="idle workers")
            began, waits = time.monotonic(), calls(bus, "blpop", "blmove")
            for _ in range(JOBS):
                assert queue.enqueue(add).wait(15) == Outcome("finished")
            idle = MANY * (time.monotonic() - began)  # an idle worker asks again once a second
            assert calls(bus, "blpop", "blmove") - waits - idle <= 1.2 * JOBS


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
