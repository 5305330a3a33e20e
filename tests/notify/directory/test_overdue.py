"""A service whose heartbeat is overdue is not there, whether or not a sweep has noticed it: every gate asks the clock of the server."""

import logging
from collections.abc import Callable
from contextlib import suppress

import pytest

import notify
from notify import Available, FencedError, RequestTimeoutError, ServerError, ServiceNotFoundError, Suspect, Withdrawn
from notify.directory import Target, info
from notify.directory.monitor import Monitor
from notify.directory.scripts import Beat, DirectoryScripts
from notify.testing import wait_until
from tests.support.faults import beat, commands_during, let_pass, server_ms
from tests.support.lua import patch_script

TTL_S = 60
CHECK = "silent_ms < longest_ms and silent_ms >= -longest_ms"
WORK = notify.provides("work")


def _call(bus: notify.Bus, target: Target) -> bool:
    """Return whether a request was sent; nobody answers it."""
    with suppress(ServiceNotFoundError):
        try:
            bus.call(target, "work", timeout_s=0.05)
        except RequestTimeoutError:
            return True
    return False


def _write(bus: notify.Bus) -> bool:
    try:
        bus.state("s", fenced=True)["a"] = 1
    except FencedError:
        return False
    bus.state("s").clear()
    return True


def _returns(look: Callable[[], object]) -> bool:
    try:
        return look() is not None
    except ServiceNotFoundError:
        return False


GATES: dict[str, Callable[[notify.Bus], bool]] = {
    "lookup": lambda bus: _returns(lambda: bus.directory.lookup("s")),
    "find": lambda bus: _returns(lambda: bus.directory.find(lambda service: service.name == "s")),
    "find by capability": lambda bus: _returns(lambda: bus.directory.find(provides="work")),
    "find by group": lambda bus: _returns(lambda: bus.directory.find(group="all")),
    "find_all": lambda bus: bool(bus.directory.find_all()),
    "in": lambda bus: "s" in bus.directory,
    "iteration": lambda bus: bool(list(bus.directory)),
    "wait_for": lambda bus: _returns(lambda: bus.directory.wait_for("s", timeout_s=0.02)),
    "wait_for by capability": lambda bus: _returns(lambda: bus.directory.wait_for(WORK, timeout_s=0.02)),
    "wait_for of several": lambda bus: _returns(lambda: bus.directory.wait_for("s", WORK, timeout_s=0.02)),
    "call": lambda bus: _call(bus, "s"),
    "call by capability": lambda bus: _call(bus, WORK),
    "fenced write": _write,
}


def _register_silent(bus: notify.Bus, name: str = "s", *, ttl_s: float = TTL_S) -> Beat:
    """Register a service that never sends a heartbeat by itself."""
    ttl_ms = round(ttl_s * 1000)
    fields = {"exports": '["work"]'}
    incarnation = DirectoryScripts(bus.redis).register(name, ttl_ms=ttl_ms, provides=["work"], groups=["all"], fields=fields)
    assert incarnation is not None
    return Beat(name, incarnation, ttl_ms)


def _without_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_script(monkeypatch, None, CHECK, "true")
    monkeypatch.setattr(info, "_is_overdue", lambda *_: False)


@pytest.mark.parametrize("checks", [True, False], ids=["", "the twin without the deadline"])
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_no_gate_lets_an_overdue_service_through_though_nobody_sweeps(bus, monkeypatch, gate, checks):
    """Experiment 26."""
    if not checks:
        _without_deadlines(monkeypatch)
        monkeypatch.setattr(Monitor, "sweep", lambda *_, **__: 1.0)
    silent = _register_silent(bus)
    assert gate(bus)
    passed_ttls = 0
    for ttls in (1, 2, 12):
        let_pass(bus, (ttls - passed_ttls) * TTL_S, swept=False)
        passed_ttls = ttls
        assert gate(bus) is not checks
    bus.directory.withdraw(*silent[:2], reason="killed")


@pytest.mark.any_server
def test_a_service_killed_where_nobody_sweeps_passes_no_gate(bus, server, start):
    """Experiment 26 with a real process, and no other."""
    process = start("unswept_worker", server.url, "s", 0.5)
    incarnation = process.told()["incarnation"]
    assert all(gate(bus) for name, gate in GATES.items() if not name.startswith(("wait_for", "call")))  # those begin to sweep
    process.kill()
    key = bus.keys.service("s")
    wait_until(lambda: server_ms(bus.redis) > int(bus.redis.hget(key, "beat_ms")) + 500)
    assert bus.directory.find_all(overdue=True)[0].state == "overdue"
    assert [name for name, gate in GATES.items() if gate(bus)] == []
    wait_until(lambda: not bus.directory.is_taken("s"), timeout_s=2.5, what="its withdrawal by the monitor of those that wait")
    assert bus.directory.last_end("s").incarnation == incarnation


def test_errors_say_for_how_long_a_service_is_silent(bus):
    (_register_silent(bus))
    let_pass(bus, 100, swept=False)
    words = r"is registered, but silent for 100\.\d s, longer than its ttl of 60 s"
    for look in (lambda: bus.directory.lookup("s"), lambda: bus.directory.find(provides="work"), lambda: bus.call("s", "work")):
        with pytest.raises(ServiceNotFoundError, match=words):
            look()
    bus.redis.flushall()


def test_an_operator_sees_overdue_services(bus):
    silent = _register_silent(bus)
    let_pass(bus, 100, swept=False)
    with bus.service("lives"):
        found = bus.directory.find_all(overdue=True)
        assert [(service.name, service.state, service.is_overdue) for service in found] == [
            ("s", "overdue", True),
            ("lives", "alive", False),
        ]
        assert bus.directory.lookup("s", overdue=True).incarnation == silent.incarnation
        assert found[0].silent_s == pytest.approx(100, abs=5)
        assert bus.directory.kill("s")
        assert bus.directory.find_all(provides="work", overdue=True) == []


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_who_meets_an_overdue_service_withdraws_it_if_there_were_sweeps(bus, gate):
    _register_silent(bus)
    let_pass(bus, TTL_S + 1)
    assert not gate(bus)
    assert not bus.directory.is_taken("s")
    assert bus.directory.last_end("s").reason == "expired"


@pytest.mark.parametrize("ends", [True, False], ids=["", "the twin with a grace each time"])
def test_a_look_once_an_hour_withdraws_a_dead_service_after_one_grace(bus, monkeypatch, ends):
    if not ends:
        patch_script(monkeypatch, "sweep", "(was[6] or not was[5])", "true")
    silent = _register_silent(bus)
    registered = []
    for _ in range(4):
        let_pass(bus, 3_600, swept=False)
        assert bus.directory.find_all(provides="work") == []
        registered.append(bus.directory.is_taken("s"))
    assert registered == ([True, False, False, False] if ends else [True] * 4)
    bus.directory.withdraw(*silent[:2], reason="killed")


def test_each_outage_gives_the_living_a_grace(bus):
    silent, sweeping = _register_silent(bus), Monitor(bus.redis)
    for _ in range(3):
        let_pass(bus, 10 * TTL_S, swept=False)
        assert sweeping.sweep() == 0.0
        assert sweeping.sweep() > 0
        assert DirectoryScripts(bus.redis).beat([silent]) == ["alive"]
        assert "s" in bus.directory
    bus.redis.flushall()


def test_a_clock_set_back_gives_a_grace_and_then_the_dead_are_withdrawn(bus):
    lives, _ = _register_silent(bus, "lives"), _register_silent(bus, "dead")
    sweeping = Monitor(bus.redis)
    sweeping.sweep()
    let_pass(bus, -3_600, swept=False)
    assert list(bus.directory) == []
    wait_until(lambda: sweeping.sweep() > 0)
    assert DirectoryScripts(bus.redis).beat([lives]) == ["alive"]
    assert [service.name for service in bus.directory] == ["lives"]
    let_pass(bus, TTL_S - 1)
    DirectoryScripts(bus.redis).beat([lives])
    wait_until(lambda: sweeping.sweep() > 0)
    assert bus.directory.is_taken("dead")
    let_pass(bus, 2)
    wait_until(lambda: sweeping.sweep() > 0)
    assert [service.name for service in bus.directory.find_all(overdue=True)] == ["lives"]
    bus.redis.flushall()


@pytest.mark.parametrize(("ahead_s", "there"), [(-TTL_S + 5, True), (30, True), (TTL_S + 5, False)])
def test_a_heartbeat_from_before_the_clock_was_set_back_counts_for_a_ttl(bus, ahead_s, there):
    _register_silent(bus)
    bus.redis.hincrby(bus.keys.service("s"), "beat_ms", ahead_s * 1000)
    assert GATES["lookup"](bus) is there
    assert GATES["fenced write"](bus) is there
    bus.redis.flushall()


@pytest.mark.parametrize("field", ["ttl_ms", "beat_ms"])
def test_a_heartbeat_heals_a_spoilt_deadline(bus, field):
    silent = _register_silent(bus)
    bus.redis.hset(bus.keys.service("s"), field, "x")
    assert not GATES["fenced write"](bus)
    assert DirectoryScripts(bus.redis).beat([silent]) == ["alive"]
    assert GATES["fenced write"](bus)
    assert "s" in bus.directory
    bus.redis.flushall()


def test_a_wait_ends_with_the_heartbeat_of_a_service_that_nobody_suspected(bus, another_bus):
    silent = _register_silent(bus)
    let_pass(bus, 2 * TTL_S, swept=False)
    with another_bus.directory.watch() as changes:
        assert changes.get(5) == Suspect("s", silent.incarnation)
        DirectoryScripts(bus.redis).beat([silent])
        assert changes.get(5) == Available("s", silent.incarnation)
        assert another_bus.directory.wait_for("s", timeout_s=5).incarnation == silent.incarnation
    bus.redis.flushall()


def test_a_watch_that_begins_with_an_overdue_service_yields_its_end(bus):
    silent = _register_silent(bus)
    let_pass(bus, TTL_S + 1)
    with bus.directory.watch() as changes:
        yielded = [changes.get(5), changes.get(5)]
        assert yielded[-1] == Withdrawn("s", silent.incarnation, "expired", "no heartbeat")
        assert yielded[0] == Suspect("s", silent.incarnation)


def test_a_look_succeeds_although_its_sweep_fails(bus, monkeypatch, caplog):
    _register_silent(bus)
    let_pass(bus, TTL_S + 1)

    def fail(*_: object, **__: object) -> float:
        raise ServerError("no sweep for you")

    monkeypatch.setattr(Monitor, "sweep", fail)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert bus.directory.find_all() == []
    assert caplog.text.count("no sweep for you") == 1
    bus.redis.flushall()


def test_a_look_sweeps_only_if_a_service_is_overdue(bus):
    def scripts_run() -> int:
        return sum(command.startswith("EVAL") for command in commands_during(bus.redis, lambda: list(bus.directory)))

    _register_silent(bus)
    assert scripts_run() == 0
    let_pass(bus, TTL_S - 5)
    assert scripts_run() == 0
    let_pass(bus, 6)
    assert scripts_run() > 0
    assert scripts_run() == 0


def test_a_single_sweep_does_not_take_the_duty_from_the_monitors(bus):
    Monitor(bus.redis).sweep()
    before = bus.redis.hmget(bus.keys.sweep, "duty_ms", "slot_ms")
    _register_silent(bus)
    let_pass(bus, TTL_S + 1)
    turned_back = [int(value) - (TTL_S + 1) * 1000 for value in before]
    assert "s" not in bus.directory
    assert [int(value) for value in bus.redis.hmget(bus.keys.sweep, "duty_ms", "slot_ms")] == turned_back
    bus.redis.flushall()


def test_a_service_whose_description_expired_is_withdrawn_by_who_meets_it(bus):
    _register_silent(bus)
    let_pass(bus, TTL_S + 1)
    bus.redis.delete(bus.keys.service("s"))
    assert not GATES["lookup"](bus)
    assert not bus.directory.is_taken("s")
    bus.redis.flushall()


def test_an_overdue_service_that_is_no_suspect_can_be_withdrawn_if_due(bus):
    silent = _register_silent(bus)
    assert bus.directory.withdraw(*silent[:2], reason="expired", only_if_due=True) is None
    let_pass(bus, TTL_S + 1)
    assert bus.directory.withdraw(*silent[:2], reason="expired", only_if_due=True)


def test_the_process_of_an_overdue_service_still_reads_its_own_description(bus):
    with bus.service("s", ttl_s=3_600) as service:
        bus.redis.hincrby(bus.keys.service("s"), "beat_ms", -3_700_000)
        assert service.info.is_overdue
        with pytest.raises(FencedError, match="sent no heartbeat for its ttl"):
            service.state["a"] = 1
        beat(service)
        service.state["a"] = 1
        assert service.info.state == "alive"
        service.kill(purge=True)
