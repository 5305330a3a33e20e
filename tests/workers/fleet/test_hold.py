"""A worker that is frozen beyond its lease finds its name taken when it goes on, and ends without touching the keys of its successor."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import notify
from notify.process import steady_s
from notify.testing import PrivateServer, wait_until
from tests.support.faults import server_ms
from tests.support.named_worker import CARELESS, REPLACED
from tests.support.sample_jobs import add, hold
from tests.workers.conftest import Effects
from workers import Outcome, Queue, Worker, WorkerReplacedError, rq_keys
from workers.fleet import NameHold, register_again
from workers.fleet import name as name_module
from workers.scripts import LeaseScripts

LEASE_S = 1.5
START_S = 10.0
"""What the start of a process may take on a busy machine."""

Started = subprocess.Popen[str]
Start = Callable[..., Started]


@pytest.fixture
def named(server: PrivateServer) -> Iterator[Start]:
    """Start workers with the name ``fixed``. Those that still run are killed after the test."""
    started: list[Started] = []

    def start(host: str = "") -> Started:
        command = [sys.executable, "-m", "tests.support.named_worker", server.url, "fixed", str(LEASE_S), host]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def works(bus: notify.Bus, process: Started) -> bool:
    """Whether a process is the worker of that name."""
    pid: Any = bus.redis.hget(rq_keys.worker("fixed"), "pid")
    return pid == b"%d" % process.pid and bus.redis.zscore(bus.keys.leases, "fixed") is not None


def freeze(bus: notify.Bus, process: Started) -> None:
    """Freeze the worker until its lease is over: until then its name is refused, for its process is alive."""
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: (bus.redis.zscore(bus.keys.leases, "fixed") or 0) < server_ms(bus.redis), timeout_s=LEASE_S + START_S)


def frozen_and_replaced(bus: notify.Bus, named: Start, kind: str) -> tuple[Started, Started]:
    """A worker is frozen, and when its lease is over another one starts under its name."""
    first = named(kind)
    wait_until(lambda: works(bus, first), timeout_s=START_S)
    freeze(bus, first)
    second = named()
    wait_until(lambda: works(bus, second), timeout_s=LEASE_S + START_S)
    return first, second


def registration(bus: notify.Bus) -> tuple[Any, bool, bool]:
    """What says who has the name and that it lives."""
    fields: Any = bus.redis.hmget(rq_keys.worker("fixed"), "birth", "pid", "death", "shutdown_requested_date")
    return (
        fields,
        bool(bus.redis.sismember(rq_keys.WORKERS, rq_keys.worker("fixed"))),
        bus.redis.zscore(bus.keys.leases, "fixed") is not None,
    )


@pytest.mark.any_server
@pytest.mark.parametrize("is_told", [False, True], ids=["by itself", "at SIGTERM"])
def test_a_worker_that_was_frozen_and_replaced_ends_and_leaves_its_successor_alone(
    bus: notify.Bus, queue: Queue, named: Start, is_told: bool
) -> None:
    first, second = frozen_and_replaced(bus, named, "")
    before = registration(bus)
    if is_told:  # it waits until the process goes on, as at the stop of a container that was paused
        first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGCONT)
    said, _ = first.communicate(timeout=START_S)
    if not is_told or first.returncode:
        assert first.returncode == REPLACED
        assert said == (
            "worker fixed ends: it was silent for longer than its lease of 1.5 s, and another worker has taken its name:"
            " its job was tried again or failed"
        )
    assert registration(bus) == before
    assert works(bus, second)
    assert queue.enqueue(add).wait(START_S) == Outcome("finished")


@pytest.mark.any_server
def test_the_twin_that_does_not_look_deregisters_its_successor(bus: notify.Bus, named: Start) -> None:
    first, second = frozen_and_replaced(bus, named, CARELESS)
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=START_S)
    assert first.returncode == 0
    fields, is_listed, _ = registration(bus)
    assert second.poll() is None
    assert (fields[2] is not None, is_listed) == (True, False)


@pytest.mark.any_server
def test_the_job_of_a_frozen_worker_ends_with_it_and_that_of_its_successor_goes_on(
    bus: notify.Bus, queue: Queue, named: Start, effects: Effects
) -> None:
    first = named()
    lost = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    freeze(bus, first)
    second = named()
    wait_until(lambda: works(bus, second), timeout_s=LEASE_S + START_S)
    assert lost.outcome is not None
    assert lost.outcome.reason == "its worker fixed died"
    running = queue.enqueue(hold, "y")
    effects.wait_for("y:begun")
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=START_S)
    assert first.returncode == REPLACED
    assert running.get_status() == "started"
    assert bus.redis.hget(rq_keys.worker("fixed"), "current_job") == running.id.encode()
    effects.let_go("y")
    assert running.wait(START_S) == Outcome("finished")


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[Worker]:
    worker = Worker(["work"], "fixed", connection=bus.redis, modules=["tests.support.sample_jobs"])
    yield worker
    worker._client.close()


def a_successor(bus: notify.Bus) -> None:
    bus.redis.hset(rq_keys.worker("fixed"), "birth", "later")


def test_a_renewal_does_nothing_when_another_worker_has_the_name(bus: notify.Bus, worker: Worker) -> None:
    worker.register_birth()
    a_successor(bus)
    renewed = LeaseScripts(bus.redis).renew_lease("fixed", birth=worker._hold.birth, lease_ms=500, away_ms=1000)
    assert (renewed.is_replaced, renewed.leads, bus.redis.zcard(bus.keys.leases)) == (True, False, 0)
    twin = LeaseScripts(bus.redis).renew_lease("fixed", lease_ms=500, away_ms=1000)
    assert (twin.is_replaced, twin.leads, bus.redis.zcard(bus.keys.leases)) == (False, True, 1)


@pytest.mark.parametrize("is_gone", [False, True], ids=["the same", "gone"])
def test_a_registration_that_is_its_own_or_gone_replaces_nobody(bus: notify.Bus, worker: Worker, is_gone: bool) -> None:
    """RQ deletes the hash of a worker that was silent; that one registers again."""
    worker.register_birth()
    if is_gone:
        bus.redis.delete(worker.key)
    worker._hold.confirm(0.0)
    assert not worker._hold.is_replaced()
    assert worker._hold.is_fresh()
    assert not LeaseScripts(bus.redis).renew_lease("fixed", birth=worker._hold.birth, lease_ms=500, away_ms=1000).is_replaced


def test_the_server_is_asked_only_after_a_silence_as_long_as_the_lease(bus: notify.Bus) -> None:
    told: list[bool] = []
    held = NameHold(bus.redis, "fixed", lease_s=60, replaced=lambda: told.append(True))
    held.begin("first")
    a_successor(bus)
    assert not held.is_replaced()
    held.confirm(steady_s() - 61)
    assert held.is_replaced()
    assert held.is_replaced()
    assert told == [True]
    with pytest.raises(WorkerReplacedError, match="another worker has taken its name"):
        held.raise_if_lost()


def test_a_worker_registers_again_although_a_claim_writes_its_hash_meanwhile(
    bus: notify.Bus, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.register_birth()
    bus.redis.delete(worker.key)
    looks: list[bool] = []

    def is_taken(worker: Any, pipe: Any) -> bool:
        taken = was_taken(worker, pipe)
        if not looks:
            bus.redis.hset(worker.key, "state", "busy")
        looks.append(taken)
        return taken

    was_taken = name_module._is_taken
    monkeypatch.setattr(name_module, "_is_taken", is_taken)
    register_again(worker, worker._client, {})
    assert (looks, bus.redis.hget(worker.key, "birth")) == ([False, False], worker._hold.birth.encode())
    assert bus.redis.sismember(rq_keys.WORKERS, worker.key)


def test_a_worker_that_has_no_name_yet_deregisters_nobody(bus: notify.Bus, worker: Worker) -> None:
    """A worker that is told to end before it is registered undoes its start."""
    a_successor(bus)
    worker.register_death()
    assert bus.redis.hget(worker.key, "death") is None
