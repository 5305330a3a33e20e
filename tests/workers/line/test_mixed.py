"""Batches on a server that goes away, and with jobs among the plain ones that are not: with real processes."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rq import Callback, Retry

import notify
from notify.testing import PrivateServer, wait_until
from tests.support.batch_jobs import begin_in, called_back
from tests.support.proxy import Proxy
from tests.workers.conftest import StartWorkers, children, is_alive
from workers import Job, Outcome, Queue, rq_keys

MODULES = ("tests.support.batch_jobs",)
WINDOW = 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    notes = tmp_path / "notes"
    notes.touch()
    return notes


def put(queue: Queue, path: Path, *seconds: float, first: int = 0, **options: Any) -> list[Job]:
    numbers = range(first, first + len(seconds))
    calls = [
        Queue.prepare_data(begin_in, [str(path), each], job_id=f"job-{number}", **options)
        for number, each in zip(numbers, seconds, strict=True)
    ]
    return list(queue.enqueue_many(calls))


def noted(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1]


def wait_for_all(jobs: Iterable[Job]) -> list[Outcome | None]:
    outcomes = [job.wait(20) for job in jobs]
    return [outcome and Outcome(outcome.status) for outcome in outcomes]


def ends(events: Any, count: int) -> Counter[tuple[str, str]]:
    """How often each job was told to have come to each status."""
    found: Counter[tuple[str, str]] = Counter()
    while sum(number for (_, status), number in found.items() if status in ("finished", "failed", "stopped")) < count:
        event: Any = events.get(10)
        assert event is not None, found
        if isinstance(event, notify.Event):
            found[event.contents["job"], event.contents["status"]] += 1
    return found


def kill_connections(bus: notify.Bus, _server: PrivateServer) -> None:
    for _ in range(3):
        bus.redis.client_kill_filter(_type="normal", skipme=True)


def restart(_bus: notify.Bus, server: PrivateServer) -> None:
    server.kill()
    server.restart()


@pytest.mark.parametrize("act", [kill_connections, restart])
def test_each_of_a_full_line_ends_once_although_the_server_goes_away(
    own_server: PrivateServer, connect_to: Callable[..., notify.Bus], request: pytest.FixtureRequest, path: Path, act: Any
) -> None:
    bus = connect_to(own_server)
    queue, start_workers = Queue("work", connection=bus.redis), request.getfixturevalue("start_workers")
    (worker,) = start_workers(modules=MODULES, window=WINDOW, settings=bus.settings, lease_s=4.0).processes
    jobs = put(queue, path, *[0.008] * 64)
    wait_until(lambda: len(noted(path)) > 3)
    wait_until(lambda: bus.redis.zcard(rq_keys.started("work")) > 20, what="a full line")
    act(bus, own_server)
    assert wait_for_all(jobs) == [Outcome("finished")] * 64
    assert noted(path) == [job.id for job in jobs], "each began once, in order"
    wait_until(lambda: not list(bus.redis.scan_iter("rq:execution*")), what="the records of the runs to go")
    assert (queue.started_job_registry.get_job_ids(), worker.poll()) == ([], None)


@pytest.mark.parametrize("lost", [1, 3])
def test_what_is_given_back_is_put_back_once_although_the_answer_is_lost(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, proxy: Proxy, path: Path, lost: int
) -> None:
    """A long job is in front of 20 short ones: the answers to whatever the worker says of that are lost."""
    with bus.subscribe("job.work") as events:
        settings = msgspec.structs.replace(bus.settings, url=proxy.url)
        start_workers(modules=MODULES, window=WINDOW, settings=settings)
        first = put(queue, path, 0.0, 0.0)
        assert wait_for_all(first) == [Outcome("finished")] * 2
        jobs = put(queue, path, 0.0, 0.4, *[0.0] * 20, first=2)
        wait_until(lambda: "job-3" in noted(path))
        proxy.lose_answers(lost)
        assert wait_for_all(jobs) == [Outcome("finished")] * 22
        assert noted(path) == [job.id for job in (*first, *jobs)]
        assert proxy.lost == lost
        told = ends(events, 24)
    assert set(told.values()) == {1}, "each start and each end is told once"
    wait_until(lambda: not list(bus.redis.scan_iter("rq:execution*")), what="the records of the runs to go")


def test_jobs_that_are_not_plain_end_rightly_among_plain_ones_in_their_order(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, path: Path
) -> None:
    calls: dict[str, dict[str, Any]] = {
        "retry": {"kwargs": {"fails": 1}, "retry": Retry(max=1)},
        "success": {"on_success": Callback(called_back)},
        "failure": {"kwargs": {"fails": 9}, "on_failure": Callback(called_back)},
        "unstopped": {"on_stopped": Callback(called_back)},
        "short-lived": {"ttl": 60},
    }
    jobs, special = [], []
    for number, (name, options) in enumerate(calls.items()):
        jobs += put(queue, path, *[0.0] * 6, first=10 * number)
        special.append(queue.enqueue(begin_in, args=(str(path),), job_id=name, **{"kwargs": {}, **options}))
        jobs.append(special[-1])
    jobs += put(queue, path, *[0.0] * 6, first=90)
    dependent = queue.enqueue(begin_in, str(path), job_id="dependent", depends_on=[jobs[2], special[1]])
    start_workers(modules=MODULES, window=WINDOW)
    assert wait_for_all([*jobs, dependent]) == [Outcome("failed" if job.id == "failure" else "finished") for job in jobs] + [
        Outcome("finished")
    ]
    begun = [name for name in noted(path) if not name.startswith("called ")]
    assert Counter(begun) == Counter([*(job.id for job in jobs), "retry", "dependent"])
    assert list(dict.fromkeys(name for name in begun if name != "dependent")) == [job.id for job in jobs], "the order of the queue"
    assert sorted(name for name in noted(path) if name.startswith("called ")) == ["called failure", "called success"]
    wait_until(lambda: not list(bus.redis.scan_iter("rq:execution*")), what="the records of the runs to go")


@pytest.mark.parametrize("is_thawed_late", [True, False])
def test_a_job_begins_after_a_freeze_of_its_worker_only_if_its_time_is_not_over(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, path: Path, is_thawed_late: bool
) -> None:
    """What has not begun within half of a lease goes back. The twin thaws in time, and begins what it has."""
    (worker,) = start_workers(modules=MODULES, window=WINDOW, lease_s=1.0).processes
    assert wait_for_all(put(queue, path, 0.0)) == [Outcome("finished")]
    jobs = put(queue, path, *[0.015] * 20, first=1)
    wait_until(lambda: len(noted(path)) > 3)
    (fork_server,) = children(worker.pid)
    frozen = [worker.pid, fork_server, *children(fork_server)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    at_freeze = noted(path)
    started = {entry.decode(): score for entry, score in bus.redis.zrange(rq_keys.started("work"), 0, -1, withscores=True)}
    if is_thawed_late:
        before = bus.redis.time()[0]
        wait_until(lambda: bus.redis.time()[0] > before + 1, what="half of the lease to pass")
    for pid in reversed(frozen):
        os.kill(pid, signal.SIGCONT)
    assert wait_for_all(jobs) == [Outcome("finished")] * 20
    ahead = [name for name in started if name.rpartition(":")[0] not in at_freeze]
    assert ahead, "some were claimed and had not begun"
    last_fence = {job.id: job.latest_result().execution_id for job in jobs}  # type: ignore[union-attr]  # it has one
    begun_by_claim = [name for name in ahead if last_fence[name.rpartition(":")[0]] == name.rpartition(":")[2]]
    assert bool(begun_by_claim) == (not is_thawed_late), (len(begun_by_claim), len(ahead))
    assert noted(path) == [f"job-{number}" for number in range(21)], "each began once, in order"


@pytest.mark.slow
@pytest.mark.any_server
@pytest.mark.timeout(120)
def test_fifty_kills_of_workers_horses_and_both_begin_no_job_twice(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, path: Path
) -> None:
    """No job may be tried again; so none may begin twice, and each kill costs one job at most."""
    dice, kills = random.Random(50), 50
    jobs = put(queue, path, *(dice.choice((0.0, 0.0, 0.001)) for _ in range(80 * kills)))
    options: dict[str, Any] = {"modules": MODULES, "window": WINDOW, "lease_s": 2.0}
    pool = start_workers(**options)
    for number in range(kills):
        wait_until(lambda number=number: len(noted(path)) > 60 * (number + 1), timeout_s=20, what="some progress")
        (worker,) = pool.processes
        (fork_server,) = children(worker.pid)
        victim = ("worker", "horse", "both")[number % 3]
        if victim == "both":
            worker.send_signal(signal.SIGSTOP)  # or it might have another horse begin a job before it is killed
        for pid in [*(children(fork_server) if victim != "worker" else []), *([worker.pid] if victim != "horse" else [])]:
            os.kill(pid, signal.SIGKILL)
        if victim != "horse":
            worker.wait()
            # However long the last will takes: there is no worker that could take the killed one for dead meanwhile.
            wait_until(lambda pid=fork_server: not is_alive(pid), timeout_s=20, what="the last will")
            pool.close()
            pool = start_workers(**options)
    finished, failed = rq_keys.finished("work"), rq_keys.failed("work")
    wait_until(lambda: bus.redis.zcard(finished) + bus.redis.zcard(failed) == len(jobs), timeout_s=30, what="the end of all jobs")
    assert max(Counter(noted(path)).values()) == 1, "a job began twice"
    assert bus.redis.zcard(failed) <= kills
    assert {job.outcome.status for job in jobs if job.outcome} == {"finished", "failed"}
