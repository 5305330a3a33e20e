"""Worker processes for tests, and the effects of their jobs."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import EFFECTS, go
from workers import Job, Outcome, Pool, Queue, WorkerOptions, rq_keys
from workers.scripts import Claim, ClaimScripts, Ended, Fences, Refill, RefillCall

ROOT = Path(__file__).parent.parent.parent
SAMPLE = "tests.support.sample_jobs"
MARK = "NOTIFY_TEST_WORKERS"
KEEP_MARKS = {"SPT_NOENV": "1"}
"""Keeps setproctitle from overwriting the environment, which holds the mark."""

StartWorkers = Callable[..., Pool]

GOES_WELL = frozenset({"enqueued", "scheduled", "deferred", "started", "finished"})


class Effects:
    """The effects of the jobs of `sample_jobs`."""

    def __init__(self, bus: notify.Bus) -> None:
        self._client = bus.redis

    def __getitem__(self, field: str) -> int:
        value: Any = self._client.hget(EFFECTS, field)
        return int(value or 0)

    def wait_for(self, field: str, count: int = 1) -> int:
        """Wait until an effect was counted that often. Return its count."""
        return wait_until(lambda: self[field] >= count and self[field], timeout_s=15, what=f"{count} x {field}")

    def let_go(self, name: str, times: int = 1) -> None:
        """Release a job `hold`."""
        self._client.rpush(go(name), *range(times))


def connections(bus: notify.Bus, worker: str) -> set[int]:
    """The connections of a worker: those with its name (RQ sets it without our prefix), and the subscription of its loss watcher."""
    named = (worker, f"notify:{worker}")
    return {int(each["id"]) for each in bus.redis.client_list() if each["name"] in named or "guard" in each["name"]}


def name_of_worker(bus: notify.Bus) -> str:
    (worker,) = wait_until(lambda: rq.Worker.all(connection=bus.redis), timeout_s=15)
    return str(worker.name)


def claim_next(bus: notify.Bus, *queues: str, fence: str = "new", ended: Ended | None = None, again: bool = False) -> Claim:
    """Claim a job as a worker called ``w`` does, by default from the queue ``work``."""
    claims = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500)
    return claims.claim([rq_keys.queue(name) for name in queues or ("work",)], fence=fence, ended=ended, again=again)


def claim_ahead(bus: notify.Bus, *queues: str, wanted: int) -> Refill:
    """Claim plain jobs ahead of their turn, as a worker called ``w`` does."""
    claims, fences = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500), Fences()
    keys = [rq_keys.queue(name) for name in queues]
    return claims.refill(RefillCall(keys, ended=[], line=[], wanted=wanted, fences=fences, number=fences.take(wanted)))


def next_mishap(events: notify.Subscriber, timeout_s: float = 15.0) -> Any:
    """The next job event that is none of `GOES_WELL`; ``None`` if none comes."""
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        event: Any = events.get(left_s)
        if event is not None and event.contents["status"] not in GOES_WELL:
            return event.contents
    return None


def mishaps(events: notify.Subscriber, count: int, *, quiet_s: float = 0.05) -> list[Any]:
    """That many events of `next_mishap`; fails if another one comes."""
    found = []
    for _ in range(count):
        found.append(next_mishap(events))
        assert found[-1] is not None, f"only {len(found) - 1} of {count} came: {found}"
    extra = next_mishap(events, quiet_s)
    assert extra is None, f"{extra} came too"
    return found


@pytest.fixture
def effects(bus: notify.Bus) -> Effects:
    return Effects(bus)


@pytest.fixture
def queue(bus: notify.Bus) -> Queue:
    return Queue("work", connection=bus.redis)


@pytest.fixture(params=[pytest.param(1, id="alone"), pytest.param(32, id="batches", marks=pytest.mark.slow)])
def each_window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a test twice: with workers that claim one job at a time, and with workers that claim as many ahead as they ever do."""
    window: int = request.param
    monkeypatch.setenv("NOTIFY_WINDOW", str(window))
    return window


@pytest.fixture
def start_workers(bus: notify.Bus) -> Iterator[StartWorkers]:
    """Start worker processes. They are stopped after the test, which fails if they or their children are still there."""
    mark, pools = uuid4().hex, []

    def start(
        size: int = 1,
        *,
        per_process: int = 1,
        queues: tuple[str, ...] = ("work",),
        modules: tuple[str, ...] = (SAMPLE,),
        stdout: int | None = None,
        ahead_s: float = 0,
        zone: str = "",
        **options: Any,
    ) -> Pool:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **KEEP_MARKS, MARK: mark}
        if ahead_s:
            environ |= {"PYTHONPATH": f"{ROOT / 'tests/support/skew'}{os.pathsep}{ROOT}", "NOTIFY_TEST_AHEAD_S": str(ahead_s)}
        if zone:
            environ["TZ"] = zone
        options = {"settings": bus.settings, **options}
        worker_options = WorkerOptions(queues=queues, modules=modules, **options)
        pools.append(Pool(worker_options, size=size, per_process=per_process, stdout=stdout, environ=environ))
        pools[-1].open()
        return pools[-1]

    yield start
    for pool in pools:
        pool.close(grace_s=3)
    wait_until(lambda: not marked(mark), what=f"the end of the processes that the workers started, {marked(mark)}")


def children(pid: int) -> list[int]:
    """The processes that the main thread of a process has forked. Linux only."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def result(job: Job) -> Any:
    """Wait for a job to finish, and return its return value."""
    assert job.wait(15) == Outcome("finished")
    return job.return_value()


def marked(mark: str) -> list[int]:
    """The processes with a mark in their environment, where ``/proc`` shows it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (path / "environ").read_bytes() and is_alive(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue  # it ended, or is not ours
    return found


def command_line(pid: int) -> str:
    """The command line of a process as every user of the machine sees it."""
    if Path("/proc/self").exists():
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    if not Path("/proc/self").exists():
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
        return bool(state.strip()) and not state.startswith("Z")
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
