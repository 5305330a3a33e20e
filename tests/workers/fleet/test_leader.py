"""Leader election: one leader at a time, a quick successor, and duties that cannot disturb it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import notify
from notify.errors import ServerUnreachableError
from notify.process import steady_s
from notify.testing import wait_until
from tests.workers.conftest import StartWorkers
from tests.workers.fleet.test_lease import frozen
from workers import rq_keys
from workers.fleet import leader as leader_module
from workers.fleet.leader import Duty, Leader
from workers.fleet.lease import Lease
from workers.scripts.lease import LeaseScripts

SHORT_S = 2.0

Lead = Callable[..., Leader]


@pytest.fixture
def lead() -> Iterator[Lead]:
    """Create a leader with these duties, which leads from the start."""
    with ExitStack() as stack:

        def open_leader(*duties: Duty, for_s: float = 60.0) -> Leader:
            leader = Leader(duties)
            leader.open()
            stack.callback(leader.close)
            leader.lead_until(steady_s() + for_s)
            return leader

        yield open_leader


class Calls:
    """A duty that records the moments of its calls."""

    def __init__(self, wait_s: float | None = 0.01, *, error: Exception | None = None) -> None:
        self.at: list[float] = []
        self._wait_s, self._error = wait_s, error

    def __call__(self) -> float | None:
        self.at.append(time.monotonic())
        if self._error is not None:
            raise self._error
        return self._wait_s

    def wait_for(self, more: int) -> None:
        goal = len(self.at) + more
        wait_until(lambda: len(self.at) >= goal, what=f"{more} more calls")


def renew(bus: notify.Bus, worker: str, *, lease_ms: int = 500) -> bool:
    """Renew a lease. Return whether the worker leads."""
    return LeaseScripts(bus.redis).renew_lease(worker, lease_ms=lease_ms, away_ms=1_000).leads


def leave(bus: notify.Bus, worker: str) -> None:
    LeaseScripts(bus.redis).release_lease(worker, birth="")


def leader_of(bus: notify.Bus) -> str:
    name: Any = bus.redis.get(bus.keys.leader)
    return (name or b"").decode()


def pid_of(bus: notify.Bus, worker: str) -> int:
    pid: Any = wait_until(lambda: bus.redis.hget(rq_keys.worker(worker), "pid"), timeout_s=10, what=f"a process called {worker}")
    return int(pid)


def elected_leader(bus: notify.Bus) -> str:
    """Wait for a leader with a process of its own, and return its name."""
    wait_until(lambda: leader_of(bus) and bus.redis.exists(rq_keys.worker(leader_of(bus))), timeout_s=15, what="a leader")
    return leader_of(bus)


def test_the_first_to_renew_its_lease_leads_until_it_leaves(bus: notify.Bus) -> None:
    assert [renew(bus, name, lease_ms=60_000) for name in ("one", "two", "one", "two")] == [True, False, True, False]
    leave(bus, "two")
    assert renew(bus, "three") is False
    leave(bus, "one")
    assert [renew(bus, name) for name in ("three", "one")] == [True, False]


def test_another_worker_leads_after_a_leader_was_silent_for_a_lease(bus: notify.Bus) -> None:
    assert renew(bus, "one", lease_ms=100)
    assert not renew(bus, "two")
    wait_until(lambda: renew(bus, "two"), what="another leader")
    assert not renew(bus, "one")


def test_one_of_many_concurrent_candidates_leads(bus: notify.Bus) -> None:
    start, answers = threading.Barrier(16), []

    def ask(name: str) -> None:
        start.wait()
        answers.append(renew(bus, name, lease_ms=60_000))

    threads = [threading.Thread(target=ask, args=(f"w{n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 15 + [True]


def test_each_namespace_has_a_leader_of_its_own(bus: notify.Bus, connect_to: Callable[..., notify.Bus], server: Any) -> None:
    other = connect_to(server, namespace="other")
    assert renew(bus, "one")
    assert renew(other, "two")
    assert (leader_of(bus), leader_of(other)) == ("one", "two")


def test_a_duty_is_called_as_often_as_it_asks_for(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "DEFAULT_WAIT_S", 0.2)
    fast, slow, plain = Calls(0.01), Calls(60.0), Calls(None)
    lead(fast, slow, plain)
    plain.wait_for(3)
    assert len(slow.at) == 1
    assert len(fast.at) > len(plain.at)
    assert plain.at[2] - plain.at[0] >= 0.4


def test_a_worker_that_does_not_lead_calls_no_duty(lead: Lead) -> None:
    calls = Calls()
    leader = lead(calls, for_s=-1.0)
    other = Calls()
    lead(other)
    other.wait_for(5)
    assert calls.at == []
    leader.lead_until(steady_s() + 60)
    calls.wait_for(2)
    leader.lead_until(0.0)
    done = len(calls.at) + 1  # one call may be running
    other.wait_for(10)
    assert len(calls.at) <= done


def test_a_leader_without_answers_leads_no_longer_than_its_lease(lead: Lead) -> None:
    """So a frozen leader that wakes up finishes one duty at the most."""
    calls, other = Calls(), Calls()
    leader = lead(calls, for_s=0.1)
    lead(other)
    calls.wait_for(1)
    wait_until(lambda: not leader.leads)
    done = len(calls.at) + 1
    other.wait_for(10)
    assert len(calls.at) <= done


class Suspension:
    """The two clocks of a host that is suspended for an hour: one goes on, the other stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._slept_s = 0.0
        monkeypatch.setattr(leader_module, "steady_s", lambda: steady_s() + self._slept_s)

    def happen(self) -> None:
        self._slept_s = 3_600.0


def test_a_leader_whose_host_was_suspended_leads_no_longer(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease is over by the clock of the server, and another worker leads."""
    suspension = Suspension(monkeypatch)
    leader = lead(for_s=60.0)
    assert leader.leads
    suspension.happen()
    assert not leader.leads


def test_by_the_clock_that_stands_still_it_leads_on(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    suspension = Suspension(monkeypatch)
    monkeypatch.setattr(leader_module, "steady_s", time.monotonic)
    leader = lead()
    leader.lead_until(time.monotonic() + 60.0)
    suspension.happen()
    assert leader.leads


def test_a_duty_that_raises_does_not_stop_the_others(lead: Lead, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "ERROR_WAIT_S", 0.01)
    bad, good = Calls(error=RuntimeError("it went wrong")), Calls()
    with caplog.at_level(logging.WARNING, logger="workers.fleet.leader"):
        lead(bad, good)
        good.wait_for(5)
        bad.wait_for(3)
    assert "it went wrong" in caplog.text


def test_an_outage_is_logged_once_and_the_duty_is_retried(lead: Lead, caplog: pytest.LogCaptureFixture) -> None:
    away = Calls(error=ServerUnreachableError("no answer"))
    with caplog.at_level(logging.WARNING, logger="workers.fleet.leader"):
        leader = lead(away)
        away.wait_for(3)
        leader.close()
    assert [record.message for record in caplog.records if "waits for the server" in record.message] == [caplog.records[0].message]


def test_an_outage_before_another_workers_lead_is_not_logged_as_over_later(lead: Lead, caplog: pytest.LogCaptureFixture) -> None:
    duty = Calls(error=ServerUnreachableError("no answer"))
    with caplog.at_level(logging.WARNING, logger="workers.fleet.leader"):
        leader = lead(duty)
        duty.wait_for(2)
        leader.lead_until(0.0)
        wait_until(lambda: leader._tasks[0]._backoff._began_at is None, what="the end of the lead")
        duty._error = None
        leader.lead_until(steady_s() + 60)
        duty.wait_for(2)
        leader.close()
    assert "has reached the server again after" not in caplog.text


def test_a_slow_duty_does_not_delay_the_lease(bus: notify.Bus, lead: Lead) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(10)

    leader = lead(slow, for_s=-1.0)
    lease = Lease(bus.redis, "w", lease_s=0.4, revive=lambda _: None, lead=leader.lead_until)
    lease.open()
    try:
        assert begun.wait(5)
        first: Any = bus.redis.get(bus.keys.renewed)
        wait_until(lambda: int(bus.redis.get(bus.keys.renewed) or 0) > int(first) + 800, what="renewals for two leases")
        assert (leader.leads, leader_of(bus)) == (True, "w")
    finally:
        go_on.set()
        leader.close()
        lease.close()
    assert leader_of(bus) == ""


def test_another_worker_leads_within_a_second_of_a_close(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(2)
    wait_until(lambda: bus.redis.zcard(bus.keys.leases) == 2, timeout_s=15)
    first = elected_leader(bus)
    (process,) = [process for process in pool.processes if process.pid == pid_of(bus, first)]
    process.terminate()
    wait_until(lambda: leader_of(bus) == "", timeout_s=10)
    gone_at = time.monotonic()
    wait_until(lambda: leader_of(bus) not in ("", first), timeout_s=10)
    assert time.monotonic() - gone_at < 1.5


@pytest.mark.any_server
def test_another_worker_leads_within_a_lease_of_a_kill(bus: notify.Bus, start_workers: StartWorkers) -> None:
    pool = start_workers(2, lease_s=SHORT_S)
    wait_until(lambda: bus.redis.zcard(bus.keys.leases) == 2, timeout_s=15)
    first = elected_leader(bus)
    (process,) = [process for process in pool.processes if process.pid == pid_of(bus, first)]
    process.kill()
    killed_at = time.monotonic()
    wait_until(lambda: leader_of(bus) not in ("", first), timeout_s=10)
    assert time.monotonic() - killed_at < SHORT_S + 1.5


@pytest.mark.any_server
def test_a_frozen_leader_does_not_lead_when_it_wakes_up(bus: notify.Bus, start_workers: StartWorkers) -> None:
    start_workers(2, lease_s=SHORT_S)
    wait_until(lambda: bus.redis.zcard(bus.keys.leases) == 2, timeout_s=15)
    first = elected_leader(bus)
    with frozen(pid_of(bus, first)):
        wait_until(lambda: leader_of(bus) not in ("", first), timeout_s=10)
    second = leader_of(bus)
    wait_until(lambda: first.encode() in bus.redis.zrange(bus.keys.leases, 0, -1), timeout_s=10, what="its new lease")
    assert leader_of(bus) == second
    os.kill(pid_of(bus, first), 0)


def test_a_close_while_the_thread_starts_another_round_is_not_missed() -> None:
    leader = Leader([])

    class Closed(threading.Event):
        def clear(self) -> None:
            leader._closing = True
            self.set()
            super().clear()

    leader._changed = Closed()
    leader.open()
    try:
        wait_until(lambda: not leader._thread.is_alive(), what="the end of the thread")
    finally:
        leader._changed.set()
