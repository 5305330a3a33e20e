"""A fixed name of a worker is taken again at once when its holder is dead, and never while the holder lives."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rq
from rq import Retry

import notify
from notify.process import ProcessIdentity, this_process
from notify.testing import PrivateServer, wait_until
from tests.support.named_worker import TAKEN
from tests.support.sample_jobs import hold
from tests.workers.conftest import Effects
from workers import Queue, Worker, WorkerNameTakenError, find_workers, rq_keys
from workers.fleet import name as module
from workers.fleet.reaper import Reaper

pytestmark = pytest.mark.any_server

LEASE_S = 1.5
ELSEWHERE = "another-host"
START_S = 5.0
"""What the start of a process may take on a busy machine."""

Started = subprocess.Popen[str]
Start = Callable[..., Started]


@pytest.fixture
def named(server: PrivateServer) -> Iterator[Start]:
    """Start workers with the name ``fixed``. Those that still run are killed after the test."""
    started: list[Started] = []

    def start(host: str = "") -> Started:
        command = [sys.executable, "-m", "tests.support.named_worker", server.url, "fixed", str(LEASE_S), host]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def works(bus: notify.Bus, process: Started) -> bool:
    """Whether a process is the worker of that name."""
    pid: Any = bus.redis.hget(rq_keys.worker("fixed"), "pid")
    return pid == b"%d" % process.pid and bus.redis.zscore(bus.keys.leases, "fixed") is not None


def held_and_killed(bus: notify.Bus, queue: Queue, named: Start, effects: Effects, **job: Any) -> Any:
    """A worker was killed in the middle of a job. Returns that."""
    first = named()
    running = queue.enqueue(hold, "x", **job)
    effects.wait_for("x:begun")
    assert works(bus, first)
    first.kill()
    first.wait()
    return running


@pytest.mark.parametrize("retries", [0, 1])
def test_on_the_same_host_the_name_of_a_killed_worker_is_free_at_once(
    bus: notify.Bus, queue: Queue, named: Start, effects: Effects, record_property: Any, retries: int
) -> None:
    """Its job fails, or is tried again, before the new worker takes a job. Until now the name was refused for up to 477 s."""
    running = held_and_killed(bus, queue, named, effects, **({"retry": Retry(max=1)} if retries else {}))
    killed_at, again = time.monotonic(), named()
    wait_until(lambda: works(bus, again), timeout_s=START_S)
    record_property("took_s", round(time.monotonic() - killed_at, 2))
    if retries:
        effects.wait_for("x:begun", 2)
        effects.let_go("x")
        assert running.wait(10).status == "finished"
    else:
        assert running.outcome.reason == "its worker fixed died"
    assert [worker.name for worker in find_workers(bus.redis)] == ["fixed"]


def test_on_another_host_a_worker_waits_until_the_lease_of_the_killed_one_is_over(
    bus: notify.Bus, queue: Queue, named: Start, effects: Effects
) -> None:
    running = held_and_killed(bus, queue, named, effects)
    again = named(ELSEWHERE)
    wait_until(lambda: works(bus, again) or running.outcome, timeout_s=LEASE_S + START_S)
    wait_until(lambda: works(bus, again), timeout_s=1)
    assert running.outcome.status == "failed"


@pytest.mark.parametrize("host", ["", ELSEWHERE], ids=["same host", "another host"])
def test_the_name_of_a_living_worker_is_refused(bus: notify.Bus, queue: Queue, named: Start, effects: Effects, host: str) -> None:
    first = named()
    running = queue.enqueue(hold, "x")
    effects.wait_for("x:begun")
    second = named(host)
    said, _ = second.communicate(timeout=LEASE_S + START_S)
    assert second.returncode == TAKEN
    assert said.startswith(f"worker fixed cannot start: a worker with that name runs in process {first.pid} on ")
    effects.let_go("x")
    assert running.wait(10).status == "finished"


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[Worker]:
    """A worker in this process that wants the name."""
    worker = Worker(["work"], "fixed", connection=bus.redis, modules=["tests.support.sample_jobs"])
    yield worker
    worker._client.close()


def a_holder(bus: notify.Bus, *, left_s: float | None, process: ProcessIdentity | None) -> None:
    """Register a worker that does nothing, and whose lease lasts for some seconds; ``None``: it has none."""
    seconds, microseconds = bus.redis.time()
    known = {} if process is None else {"process": msgspec.json.encode(process)}
    bus.redis.hset(rq_keys.worker("fixed"), mapping={"birth": "then", "queues": "work", "hostname": "h", "pid": 7, **known})
    bus.redis.expire(rq_keys.worker("fixed"), 60)
    if left_s is not None:
        bus.redis.zadd(bus.keys.leases, {"fixed": (seconds + left_s) * 1000 + microseconds / 1000})
        bus.redis.expire(bus.keys.leases, 60)


AWAY = ProcessIdentity(ELSEWHERE, 1, "another space", "1")
DEAD = msgspec.structs.replace(this_process(), started="0")
"""A process whose id another process has by now."""


@pytest.mark.parametrize(
    ("process", "left_s", "is_free"),
    [
        (DEAD, 60, True),
        (DEAD, None, True),
        (AWAY, -1, True),
        (None, -1, True),
        (AWAY, 0.3, True),
        (None, 0.3, True),
        (AWAY, None, True),
        (this_process(), 60, False),
        (this_process(), None, False),
        (None, None, False),
    ],
)
def test_a_name_is_free_if_its_holder_is_dead_here_or_has_no_lease_left(
    bus: notify.Bus, worker: Worker, monkeypatch: pytest.MonkeyPatch, process: ProcessIdentity | None, left_s: float | None, is_free: bool
) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.3)
    a_holder(bus, left_s=left_s, process=process)
    if is_free:
        worker.register_birth()
        assert bus.redis.hget(worker.key, "pid") == b"%d" % os.getpid()
        return
    with pytest.raises(WorkerNameTakenError, match="runs in process 7 on h"):
        worker.register_birth()
    assert bus.redis.hget(worker.key, "birth") == b"then"


@pytest.mark.parametrize("renewals", [1, 2])
def test_a_lease_that_is_renewed_once_may_be_that_of_a_dead_worker(
    bus: notify.Bus, worker: Worker, monkeypatch: pytest.MonkeyPatch, renewals: int
) -> None:
    """When the server was away all leases begin anew."""
    a_holder(bus, left_s=0.5, process=AWAY)
    waits = iter(range(100))

    def renew(_s: float) -> None:
        if next(waits) < renewals:
            a_holder(bus, left_s=0.5 + renewals, process=AWAY)
        threading.Event().wait(0.05)

    monkeypatch.setattr(module.time, "sleep", renew)
    if renewals < module.RENEWALS:
        worker.register_birth()
        return
    with pytest.raises(WorkerNameTakenError):
        worker.register_birth()


def test_a_worker_that_waits_for_its_name_ends_when_it_is_told_to(bus: notify.Bus, worker: Worker) -> None:
    a_holder(bus, left_s=60, process=AWAY)
    worker._stop_requested = True
    with pytest.raises(SystemExit):
        worker.register_birth()


def test_of_several_workers_that_take_a_name_at_once_one_gets_it(bus: notify.Bus) -> None:
    """The process of each is the same and lives, so that each finds out that another one was faster."""
    a_holder(bus, left_s=-1, process=AWAY)
    several = [Worker(["work"], "fixed", connection=bus.redis, modules=["tests.support.sample_jobs"]) for _ in range(8)]
    got: list[Worker] = []

    def take(worker: Worker) -> None:
        try:
            worker.register_birth()
            got.append(worker)
        except WorkerNameTakenError:
            pass
        finally:
            worker._client.close()

    threads = [threading.Thread(target=take, args=(worker,)) for worker in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_a_reaper_that_comes_late_does_not_remove_the_successor(bus: notify.Bus, worker: Worker) -> None:
    a_holder(bus, left_s=-1, process=AWAY)
    worker.register_birth()
    Reaper(bus.redis).reap("fixed", "", birth="then")
    assert bus.redis.exists(worker.key)
    Reaper(bus.redis).reap("fixed", "")  # the twin, which does not know whom it is to reap
    assert not bus.redis.exists(worker.key)


def test_the_twin_of_plain_rq_refuses_the_name_of_a_dead_worker(bus: notify.Bus) -> None:
    plain = [rq.Worker(["work"], name="fixed", connection=bus.redis) for _ in range(2)]
    plain[0].register_birth()
    bus.redis.hset(rq_keys.worker("fixed"), "pid", 999_999)  # as if its process was gone
    with pytest.raises(ValueError, match="exists an active worker"):
        plain[1].register_birth()
    assert bus.redis.ttl(rq_keys.worker("fixed")) > 400


def test_the_command_of_rq_says_in_a_line_that_the_name_is_taken(bus: notify.Bus, server: PrivateServer) -> None:
    a_holder(bus, left_s=60, process=this_process())
    program = Path(sys.executable).with_name("rq")
    command = [program, "worker", "--worker-class", "workers.Worker", "--name", "fixed", "--url", server.url, "work"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("worker fixed cannot start: a worker with that name runs in process 7 on h")
    assert "Traceback" not in done.stderr
