"""Workers that start while the server has no room for their connections: they wait, say so, and end on SIGTERM meanwhile."""

from collections.abc import Iterator

import pytest
import rq
from rq import Retry

import notify
from notify.testing import PrivateServer, wait_until
from tests.support import impatient_worker
from tests.support.sample_jobs import add, hold_and_fail
from tests.workers.conftest import Effects, StartWorkers, connections, name_of_worker
from workers import Outcome, Pool, Queue

pytestmark = pytest.mark.any_server

OWN = 1
"""The connections of the test."""
ATTEMPTS = 3


@pytest.fixture
def full(own_server: PrivateServer) -> Iterator[notify.Bus]:
    """A bus on a server that accepts no more connections."""
    with notify.connect(own_server.url) as bus:
        bus.redis.config_set("maxclients", OWN)
        yield bus


def start_one(bus: notify.Bus, start_workers: StartWorkers, *, room: int) -> Pool:
    """Start a worker on a server that has room for so many of its four connections, and wait until it has tried several times."""
    bus.redis.config_set("maxclients", OWN + room)
    before = rejected(bus)
    pool = start_workers(settings=bus.settings)
    wait_until(lambda: rejected(bus) >= before + ATTEMPTS, timeout_s=15, what="attempts")
    return pool


def rejected(bus: notify.Bus) -> int:
    return int(bus.redis.info("stats")["rejected_connections"])


@pytest.mark.parametrize("room", range(4))
def test_a_worker_that_starts_waits_for_each_of_its_connections(
    full: notify.Bus, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str], room: int
) -> None:
    pool = start_one(full, start_workers, room=room)
    (process,) = pool.processes
    full.redis.config_set("maxclients", 100)
    assert Queue("work", connection=full.redis).enqueue(add).wait(15) == Outcome("finished")
    assert pool.processes == [process]
    said = capfd.readouterr().err
    assert "waits for the server" in said or "all that needs it waits" in said
    assert "max number of clients reached" in said or "maxclients" in said


@pytest.mark.parametrize("room", range(4))
def test_a_worker_that_waits_for_a_connection_ends_on_a_signal(full: notify.Bus, start_workers: StartWorkers, room: int) -> None:
    (process,) = start_one(full, start_workers, room=room).processes
    process.terminate()
    assert process.wait(5) in (0, -15)  # it has no handler before it has connected
    full.redis.config_set("maxclients", 100)
    assert rq.Worker.all(connection=full.redis) == []


def test_the_twin_a_worker_that_does_not_wait_ends(full: notify.Bus, start_workers: StartWorkers) -> None:
    full.redis.config_set("maxclients", OWN + 1)
    (process,) = start_workers(settings=full.settings, modules=(impatient_worker.__name__,)).processes
    assert process.wait(15) == 1


def test_a_running_job_adds_two_connections_at_most_and_for_a_second(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """One for its code, which may wait on it for long, and one that records its end if RQ's code does."""
    start_workers()
    worker = name_of_worker(bus)
    wait_until(lambda: len(connections(bus, worker)) == 4)
    most = 0
    for name in "abc":
        job = queue.enqueue(hold_and_fail, name, retry=Retry(max=1))
        effects.let_go(name, 2)
        while job.outcome is None:
            most = max(most, len(connections(bus, worker)))
    assert 4 < most <= 6
    wait_until(lambda: len(connections(bus, worker)) == 4)
