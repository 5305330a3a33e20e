"""Experiment 30: the clock of the server jumps. Nothing runs twice, deaths are announced, rhythms tick, and holds last as long."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from rq import Retry

import notify
from notify.process import steady_s
from notify.server import scripts
from notify.testing import wait_until
from tests.support.faults import server_ms
from tests.support.held_jobs import PATIENT
from tests.support.processes import Process
from tests.support.sample_jobs import add, hold
from tests.support.server_clock import jump
from tests.workers.conftest import SAMPLE, Effects, StartWorkers
from tests.workers.fleet.test_lease import run_by
from tests.workers.schedule.test_cron import listen, load
from workers import Job, Outcome, Queue, job, rq_keys
from workers.jobs.schedule import Schedule
from workers.loss.held import HeldJobs
from workers.schedule.cron import Cron
from workers.scripts import clock_watch
from workers.scripts.lease import LeaseScripts, Renewal

QUICK = "tests.support.quick_jobs"
BACK_S, AHEAD_S = -600.0, 600.0
BOTH_WAYS = pytest.mark.parametrize("ahead_s", [BACK_S, AHEAD_S], ids=["back", "ahead"])
LEASE_S, TTL_S = 2.0, 1.0
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@job("work", every_s=60)
def each_minute() -> None: ...


EACH_MINUTE = f"{__name__}.each_minute"


@pytest.fixture
def service(bus: notify.Bus) -> Iterator[Process]:
    """A service ``svc`` in another process."""
    process = Process("service", bus.settings.url, "svc", TTL_S)
    try:
        process.told()
        yield process
    finally:
        process.dispose()


@pytest.fixture
def holds(bus: notify.Bus) -> HeldJobs:
    return HeldJobs(bus.redis)


@pytest.fixture
def cron(bus: notify.Bus) -> Cron:
    """The duty, and a living worker ``w`` that has loaded a job for each minute, which has been planned."""
    renew(bus, "w", lease_ms=60_000)
    load(bus, "w", each_minute)
    listen(bus, "w", "work")
    duty = Cron(bus.redis)
    duty.run()
    return duty


def renew(bus: notify.Bus, worker: str, *, lease_ms: int = 300) -> Renewal:
    return LeaseScripts(bus.redis).renew_lease(worker, lease_ms=lease_ms, away_ms=1_000)


def renew_lease_naively(monkeypatch: pytest.MonkeyPatch, bus: notify.Bus) -> None:
    """Let a clock that was put back go unnoticed when leases are renewed."""
    source = LeaseScripts(bus.redis).source("renew_lease")
    naive = source.replace("last - now > tonumber(away_ms)", "false")
    assert naive != source
    loaded, twin = scripts.load_script, (naive, hashlib.sha1(naive.encode()).hexdigest())  # noqa: S324
    monkeypatch.setattr(scripts, "load_script", lambda *which: twin if "renew_lease" in which else loaded(*which))


def due_in_ms(bus: notify.Bus, name: str) -> int:
    score: Any = bus.redis.zscore(bus.keys.cron_due, name)
    return int(score) - server_ms(bus.redis)


@pytest.mark.any_server
@BOTH_WAYS
def test_nothing_runs_twice_deaths_are_announced_and_rhythms_tick(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects, service: Process, ahead_s: float
) -> None:
    jobs = {name: queue.enqueue(hold, name, retry=Retry(max=1)) for name in ("x", "y")}
    modules = (SAMPLE, QUICK)
    pools = {
        run_by(jobs[name]): pool
        for name in jobs
        for pool in [start_workers(modules=modules, lease_s=LEASE_S)]
        if effects.wait_for(f"{name}:begun")
    }
    start_workers(modules=modules, lease_s=LEASE_S)
    effects.wait_for("every", 2)
    with bus.subscribe("services") as changes:
        jump(bus, ahead_s)
        service.kill()
        effects.wait_for("every", effects["every"] + 6)
        wait_until(lambda: (event := changes.get(5)) is not None and event.contents["change"] == "withdrawn", timeout_s=10)  # type: ignore[union-attr, index, call-overload]  # a Gap has no contents, and no Gap comes
    assert (effects["x:begun"], effects["y:begun"]) == (1, 1)
    dead = run_by(jobs["x"])
    for process in pools[dead].processes:
        process.kill()
    effects.wait_for("x:begun", 2)
    for name, waiting in jobs.items():
        effects.let_go(name)
        assert waiting.wait(10) == Outcome("finished")
    ran: Any = bus.redis.hgetall("rq:test:effects")
    assert {int(count) for name, count in ran.items() if b"quick_jobs" in name} == {1}
    assert (effects["x:begun"], effects["y:begun"]) == (2, 1)


@BOTH_WAYS
def test_a_dead_worker_is_found_and_a_living_one_is_not_taken_for_dead(bus: notify.Bus, ahead_s: float) -> None:
    renew(bus, "dead")
    renew(bus, "living", lease_ms=60_000)
    jump(bus, ahead_s)
    assert renew(bus, "another").dead == ""
    assert wait_until(lambda: renew(bus, "another").dead, timeout_s=2) == "dead"
    leases: Any = dict(bus.redis.zrange(bus.keys.leases, 0, -1, withscores=True))
    if ahead_s < 0:
        assert 50_000 < leases[b"living"] - server_ms(bus.redis) <= 60_000
    else:
        assert wait_until(lambda: renew(bus, "another").dead, timeout_s=2) == "living"  # it did not renew its lease, as it does in life


def test_without_the_check_a_dead_worker_lives_on_after_the_clock_was_put_back(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    renew_lease_naively(monkeypatch, bus)
    renew(bus, "dead")
    jump(bus, BACK_S)
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        assert renew(bus, "another").dead == ""


def test_a_dead_leader_leads_for_a_lease_at_most_after_the_clock_was_put_back(bus: notify.Bus) -> None:
    assert renew(bus, "leader").leads
    jump(bus, BACK_S)
    assert not renew(bus, "another").leads
    wait_until(lambda: renew(bus, "another").leads, timeout_s=2, what="another leader")


def test_a_worker_whose_hash_expired_as_the_clock_jumped_registers_again(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    """By its hash the reaper finds its job, and RQ's tools find the worker."""
    held = queue.enqueue(hold, "x")
    start_workers(lease_s=LEASE_S)
    effects.wait_for("x:begun")
    key = rq_keys.worker(run_by(held))
    before: Any = bus.redis.hgetall(key)
    jump(bus, AHEAD_S)
    wait_until(lambda: bus.redis.hget(key, "queues") == b"work", what="the worker in RQ's registry")
    after: Any = bus.redis.hgetall(key)
    assert {name: after[name] for name in (b"current_job", b"state", b"pid", b"birth")} == {
        name: before[name] for name in (b"current_job", b"state", b"pid", b"birth")
    }
    effects.let_go("x")
    assert held.wait(10) == Outcome("finished")


def test_an_interval_goes_on_after_the_clock_was_put_back(bus: notify.Bus, cron: Cron) -> None:
    jump(bus, BACK_S)
    assert due_in_ms(bus, EACH_MINUTE) > 500_000
    assert cron.run() == 0.0
    assert 0 < due_in_ms(bus, EACH_MINUTE) <= MINUTE_MS


def test_without_the_plan_an_interval_waits_until_the_clock_is_where_it_was(bus: notify.Bus, cron: Cron) -> None:
    """The twin: the leader that does not know of the jump."""
    jump(bus, BACK_S)
    bus.redis.hdel(bus.keys.clock, "cron_ms")
    cron.run()
    assert due_in_ms(bus, EACH_MINUTE) > 500_000


def test_a_leader_that_dies_before_it_planned_anew_is_followed_by_one_that_does(bus: notify.Bus, cron: Cron) -> None:
    jump(bus, BACK_S)
    assert cron._scripts.cron_due(longest_wait_ms=5_000).back_ms > 500_000
    assert Cron(bus.redis).run() == 0.0
    assert 0 < due_in_ms(bus, EACH_MINUTE) <= MINUTE_MS
    assert cron._scripts.cron_due(longest_wait_ms=5_000).back_ms == 0


def test_a_time_that_the_clock_passes_twice_has_a_job_each_time(bus: notify.Bus, cron: Cron, queue: Queue) -> None:
    """The id of the second one differs: that of the first is that of a job which may be there still."""
    now = server_ms(bus.redis)
    for due_ms in (now - 5_000, now - 4_000, now - 5_000, now - 5_000):
        bus.redis.zadd(bus.keys.cron_due, {EACH_MINUTE: due_ms})
        while cron.run() == 0.0:
            continue
        for waiting in queue.jobs:
            bus.redis.hset(waiting.key, "status", "finished")
        assert due_in_ms(bus, EACH_MINUTE) > 0
    found = [waiting.removeprefix(EACH_MINUTE.replace(".", "-") + "-") for waiting in queue.job_ids]
    assert sorted(int(due_ms) - now for due_ms in found) == [-5_000, -4_999, -4_998, -4_000]


@pytest.mark.parametrize(
    ("schedule", "due_ms", "now_ms", "expected_ms"),
    [
        (Schedule(every_ms=MINUTE_MS), HOUR_MS, HOUR_MS - 600_000, HOUR_MS - 600_000 + MINUTE_MS),
        (Schedule(every_ms=24 * HOUR_MS), 48 * HOUR_MS, 24 * HOUR_MS - 590_000, 24 * HOUR_MS),
        (Schedule(cron="* * * * *"), HOUR_MS, HOUR_MS - 600_000, HOUR_MS - 600_000 + MINUTE_MS),
        (Schedule(cron="0 * * * *"), 2 * HOUR_MS, HOUR_MS - 590_000, 2 * HOUR_MS),
        (Schedule(cron="0 * * * *"), 8 * HOUR_MS, 6 * HOUR_MS - 10_000, 6 * HOUR_MS),
        (Schedule(cron="0 4 * * *"), 28 * HOUR_MS, 4 * HOUR_MS - 590_000, 28 * HOUR_MS),
        (Schedule(cron="0 4 * * *"), 28 * HOUR_MS, 20 * HOUR_MS, 28 * HOUR_MS),
    ],
    ids=str,
)
def test_a_cron_line_goes_on_if_its_times_are_closer_together_than_the_jump(
    schedule: Schedule, due_ms: int, now_ms: int, expected_ms: int
) -> None:
    """Any other keeps its next time: the clock comes to a time at which the job ran already."""
    back_ms = 2 * HOUR_MS if due_ms == 8 * HOUR_MS else 600_000
    assert schedule.next_after_jump(due_ms, now_ms, back_ms=back_ms) == expected_ms


def held_until_s(bus: notify.Bus, waiting: Job) -> float:
    """For how many seconds a job is held still."""
    score: Any = bus.redis.zscore(bus.keys.holds, waiting.id)
    return (float(score) - server_ms(bus.redis)) / 1000


@BOTH_WAYS
def test_a_hold_lasts_as_long_whatever_the_clock_does(bus: notify.Bus, queue: Queue, holds: HeldJobs, ahead_s: float) -> None:
    short, long = (queue.enqueue(add, **PATIENT, max_hold_s=hold_s) for hold_s in (60, 3_600))
    holds.run()
    jump(bus, ahead_s)
    holds._scripts._watch.answered(server_ms(bus.redis) - round(ahead_s * 1000))  # it remembers the clock from before the jump
    after = queue.enqueue(add, **PATIENT, max_hold_s=60)
    holds.run()
    assert (short.held, long.held, after.held) == ("svc", "svc", "svc")
    assert 55 < held_until_s(bus, short) <= 60
    assert 55 < held_until_s(bus, after) <= 60
    assert 3_595 < held_until_s(bus, long) <= 3_600


@pytest.mark.parametrize("clock", ["goes on", "stands still"], ids=["protected", "twin"])
def test_a_hold_ends_while_the_hosts_of_all_workers_are_suspended(
    bus: notify.Bus, queue: Queue, holds: HeldJobs, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """By a clock that stands still meanwhile the leader takes the suspension for a jump, and the hold begins anew."""
    waiting = queue.enqueue(add, **PATIENT, max_hold_s=60)
    holds.run()
    jump(bus, AHEAD_S)
    holds._scripts._watch.answered(server_ms(bus.redis) - round(AHEAD_S * 1000))  # it remembers the clock from before the suspension
    slept_s = AHEAD_S if clock == "goes on" else 0.0
    monkeypatch.setattr(clock_watch, "steady_s", lambda: steady_s() + slept_s)
    holds.run()
    assert (waiting.outcome is None) == (clock == "stands still")


def test_without_a_watch_of_its_own_a_leader_takes_a_jump_for_time_that_passed(bus: notify.Bus, queue: Queue, holds: HeldJobs) -> None:
    """The twin: so it is also for a new leader, which cannot tell a jump from a time without leaders."""
    waiting = queue.enqueue(add, **PATIENT, max_hold_s=60)
    holds.run()
    jump(bus, AHEAD_S)
    HeldJobs(bus.redis).run()
    assert waiting.outcome is not None
    assert waiting.outcome.status == "cancelled"
