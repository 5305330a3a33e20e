"""Missing heartbeats of services that live: the server was away, the network broke, or the service flaps."""

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

import notify
from notify import Alarm, Available, ServiceInfo, Suspect, Withdrawn
from notify.directory import monitor
from notify.directory.monitor import LATE_S, Monitor
from notify.directory.scripts import Beat, DirectoryScripts
from notify.events.scripts import EventScripts
from notify.testing import PrivateServer, wait_until
from tests.support.faults import beat, let_pass, server_ms
from tests.support.processes import Process

TTL_S = 0.8
AWAY_S = 3 * TTL_S
NAMES = ["a", "b", "c", "d", "e"]


def _changes(bus: notify.Bus) -> Counter[str]:
    """Count the changes in the log of the topic ``services``."""
    page = EventScripts(bus.redis).read_log("services", after="0-0", count=10_000)
    return Counter(notify.events.event.decode("services", data)[0].contents["change"] for _, _, _, data in page.entries)


def _sweep_for(bus: notify.Bus, seconds: float) -> None:
    """Sweep directly, at least as often as monitors do."""
    sweeping, end = Monitor(bus.redis), time.monotonic() + seconds
    wait_until(lambda: sweeping.sweep() is not None and time.monotonic() > end, timeout_s=seconds + 20)


def _freeze(server: PrivateServer) -> None:
    server.freeze()
    _wait(AWAY_S)
    server.thaw()


def _kill_and_restart(server: PrivateServer) -> None:
    server.kill()
    _wait(AWAY_S)
    server.restart()


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, timeout_s=seconds + 5)


OUTAGES = {"frozen": (_freeze, True), "killed": (_kill_and_restart, True), "frozen, the twin without a grace": (_freeze, False)}


@pytest.mark.any_server
@pytest.mark.parametrize(("strike", "grace"), OUTAGES.values(), ids=OUTAGES)
def test_no_service_is_withdrawn_because_the_server_was_away(own_server, connect_to, start, monkeypatch, strike, grace):
    """Experiment 17: the services live all the time; when the server is back after three ttls, the sweep reaches it before they do."""
    if not grace:
        monkeypatch.setattr(monitor, "LATE_S", 3600.0)
    bus = connect_to(own_server)
    process = start("unswept_services", own_server.url, ",".join(NAMES), TTL_S)
    incarnations = [process.told()["incarnation"] for _ in NAMES]
    _sweep_for(bus, 0.5)
    os.kill(process.pid, signal.SIGSTOP)
    strike(own_server)
    wait_until(lambda: _answers(bus))
    _sweep_for(bus, 0.1)
    assert _changes(bus)["withdrawn"] == (0 if grace else len(NAMES))
    os.kill(process.pid, signal.SIGCONT)
    if grace:
        _sweep_for(bus, 2 * TTL_S)
        assert [service.incarnation for service in bus.directory] == incarnations
        assert _changes(bus)["withdrawn"] == 0
    assert process.end() == 0


def _answers(bus: notify.Bus) -> bool:
    try:
        return bool(bus.redis.ping())
    except ConnectionError:
        return False


def test_a_service_that_died_during_an_outage_is_withdrawn_a_ttl_later(bus):
    """The ttl begins with the return of the server."""
    _register(bus, 3)
    sweeping = Monitor(bus.redis)
    let_pass(bus, 180)
    bus.redis.hincrby(bus.keys.sweep, "at_ms", -180_000)
    sweeping.sweep()
    sweeping.sweep()
    states = bus.keys.service("s0")
    assert {service.state for service in bus.directory.find_all(overdue=True)} == {"overdue"}
    for seconds, state in ((39, b"alive"), (2, b"suspect"), (18, b"suspect"), (2, None)):
        let_pass(bus, seconds)
        wait_until(lambda: sweeping.sweep() > 0)
        assert bus.redis.hget(states, "state") == state
    assert not bus.directory.find_all(overdue=True)


@pytest.mark.parametrize("late_s", [LATE_S - 0.5, LATE_S + 0.5])
def test_a_grace_is_given_after_two_intervals_without_a_sweep(bus, late_s):
    _register(bus, 1)
    let_pass(bus, 40.5)
    bus.redis.hincrby(bus.keys.sweep, "at_ms", -round(late_s * 1000))
    Monitor(bus.redis).sweep()
    assert bus.directory.lookup("s0").state == ("suspect" if late_s < LATE_S else "alive")
    bus.redis.flushall()


def _register(bus: notify.Bus, count: int, *, ttl_ms: int = 60_000) -> list[Beat]:
    """Register services that never send a heartbeat by themselves. Returns their heartbeats."""
    scripts = DirectoryScripts(bus.redis)
    names = [f"s{number}" for number in range(count)]
    found = [scripts.register(name, ttl_ms=ttl_ms, provides=["work"], groups=[], fields={}) for name in names]
    let_pass(bus, 0)  # as if a monitor had swept just now
    return [Beat(name, incarnation, ttl_ms) for name, incarnation in zip(names, found, strict=True)]


def _advance(bus: notify.Bus, seconds: float) -> list[ServiceInfo]:
    """Let time pass, and sweep until no service is due. Returns the services that are still registered."""
    let_pass(bus, seconds)
    sweeping = Monitor(bus.redis)
    wait_until(lambda: sweeping.sweep() > 0)
    return bus.directory.find_all(overdue=True)


@pytest.mark.any_server
@pytest.mark.parametrize("brake", [True, False], ids=["with brake", "the twin without"])
def test_no_service_is_withdrawn_because_half_of_them_paused(bus, server, start, monkeypatch, caplog, brake):
    """Experiment 18."""
    if not brake:
        monkeypatch.setattr(monitor, "BRAKE_SHARE", 1.0)
    ttl_s = 2.0
    halves = [_start_twelve(start, server, half, ttl_s) for half in "ab"]
    with bus.directory.watch() as changes:
        _sweep_for(bus, 0.2)
        os.kill(halves[1].pid, signal.SIGSTOP)
        _sweep_for(bus, ttl_s + 0.15)
        os.kill(halves[1].pid, signal.SIGCONT)
        _sweep_for(bus, ttl_s)
        yielded = _count_changes(changes)
    assert (yielded[Withdrawn] > 0, yielded[Alarm]) == ((False, 1) if brake else (True, 0))
    assert ("of 24 services fell silent at once" in caplog.text) is brake
    assert len(list(bus.directory)) == 24
    assert [half.end() for half in halves] == [0, 0]


def _start_twelve(start: Callable[..., Process], server: PrivateServer, half: str, ttl_s: float) -> Process:
    names = [f"{half}{number}" for number in range(12)]
    process = start("unswept_services", server.url, ",".join(names), ttl_s)
    for _ in names:
        process.told()
    return process


def _count_changes(changes: notify.Watch) -> Counter[type]:
    """Read the changes until none comes any more, and count them by type."""
    return Counter(map(type, iter(lambda: changes.get(0.1), None)))


def test_the_brake_holds_for_one_ttl_and_then_silence_counts(bus, caplog):
    beats = _register(bus, 40)
    silent, scripts = beats[:20], DirectoryScripts(bus.redis)
    with bus.directory.watch() as changes:
        assert [type(changes.get(5)) for _ in beats] == [Available] * 40
        let_pass(bus, 30)
        scripts.beat(beats[20:])
        assert len(_advance(bus, 11)) == 40
        assert [type(changes.get(5)) for _ in silent] == [Suspect] * 20
        assert changes.get(5) == Alarm(20, 40)
        for seconds in (20, 20, 18):  # far beyond their deadlines, within a ttl after the alarm
            scripts.beat(beats[20:])
            assert len(_advance(bus, seconds)) == 40
        scripts.beat(beats[20:])
        assert {service.name for service in _advance(bus, 4)} == {beat.name for beat in beats[20:]}
        assert _count_changes(changes) == {Withdrawn: 20}
    assert [record.levelno for record in caplog.records if "fell silent at once" in record.message] == [logging.ERROR]
    assert bus.redis.hget(bus.keys.sweep, "alarm") is None
    bus.redis.flushall()


@pytest.mark.parametrize(
    ("silent", "services", "alarms"), [(10, 12, 0), (11, 12, 1), (15, 100, 0), (16, 100, 1)], ids=lambda number: str(number)
)
def test_the_brake_needs_more_than_ten_suspects_and_15_percent(bus, silent, services, alarms):
    beats = _register(bus, services)
    let_pass(bus, 30)
    DirectoryScripts(bus.redis).beat(beats[silent:])
    _advance(bus, 11)
    assert _changes(bus)["alarm"] == alarms
    DirectoryScripts(bus.redis).beat(beats[silent:])
    assert len(_advance(bus, 20)) == (services if alarms else services - silent)
    bus.redis.flushall()


def test_the_brake_holds_neither_a_kill_nor_a_close(bus):
    beats = _register(bus, 20)
    with bus.service("leaves", ttl_s=3600):
        _advance(bus, 41)
        assert bus.redis.hget(bus.keys.sweep, "alarm") == b"1"
        bus.directory.kill("s3")
        assert "s3" not in bus.directory
    assert "leaves" not in bus.directory
    assert len(list(bus.directory)) == len(beats) - 1
    bus.redis.flushall()


def test_the_brake_holds_no_service_for_ever_during_a_long_alarm(bus):
    """Others fall silent while it holds: they have their own deadlines, and the alarm does not hold them again."""
    beats, scripts = _register(bus, 60), DirectoryScripts(bus.redis)
    let_pass(bus, 30)
    scripts.beat(beats[20:])
    _advance(bus, 11)
    _advance(bus, 30)  # the next twenty, and the rest, are suspected too
    left = {service.name for service in _advance(bus, 31)}
    assert left == set()
    assert _changes(bus) == {"available": 60, "suspect": 60, "alarm": 1, "withdrawn": 60}


def test_the_brake_works_again_once_an_alarm_is_over(bus):
    beats, scripts = _register(bus, 20), DirectoryScripts(bus.redis)
    for alarms in (1, 2):
        assert len(_advance(bus, 41)) == 20
        assert _changes(bus)["alarm"] == alarms
        scripts.beat(beats)
        assert len(_advance(bus, 0)) == 20
        assert bus.redis.hget(bus.keys.sweep, "alarm") is None
    bus.redis.flushall()


def test_only_a_watch_on_all_services_yields_an_alarm(bus):
    _register(bus, 20)
    with bus.directory.watch() as everybody, bus.directory.watch("s3") as one, bus.directory.watch(provides="work") as some:
        _advance(bus, 41)
        yielded = [_count_changes(watch) for watch in (everybody, one, some)]
    assert [counts[Alarm] for counts in yielded] == [1, 0, 0]
    assert [counts[Suspect] for counts in yielded] == [20, 1, 20]
    bus.redis.flushall()


def test_a_flapping_service_is_counted_and_announced_once_in_ten_ttls(bus):
    with bus.service("s", ttl_s=3600) as service, bus.directory.watch("s") as changes:
        assert changes.get(5) == Available("s", service.incarnation)
        for flaps in range(1, 16):
            assert [s.state for s in _advance(bus, 2_400)] == ["suspect"]
            assert bus.redis.smembers(bus.keys.suspects)
            beat(service)
            assert (service.info.state, service.info.flaps) == ("alive", flaps)
            assert not bus.redis.exists(bus.keys.suspects)
        # 15 times 40 minutes are ten hours: the first suspicion was announced, and then none
        yielded = list(iter(lambda: changes.get(0.05), None))
        assert yielded == [Suspect("s", service.incarnation), Available("s", service.incarnation)]
        _advance(bus, 2_400)
        beat(service)
        yielded = list(iter(lambda: changes.get(0.05), None))
        assert yielded == [Suspect("s", service.incarnation), Available("s", service.incarnation)]


def test_the_end_of_a_flapping_service_is_always_announced(bus):
    (heartbeat,) = _register(bus, 1)
    for _ in range(2):
        assert len(_advance(bus, 41)) == 1
        assert DirectoryScripts(bus.redis).beat([heartbeat]) == ["alive"]
    assert len(_advance(bus, 41)) == 1
    assert _advance(bus, 20) == []
    assert _changes(bus) == {"available": 1, "suspect": 1, "recovered": 1, "withdrawn": 1}


def test_a_new_incarnation_has_no_flaps(bus):
    with bus.service("s", ttl_s=3600) as service:
        _advance(bus, 2_400)
        beat(service)
        assert service.info.flaps == 1
        bus.directory.withdraw("s", service.incarnation, reason="expired")
        beat(service)
        assert service.info.flaps == 0


def test_a_clock_set_back_an_hour_makes_no_monitor_sweep_less_often(bus):
    _register(bus, 1)
    for field in ("at_ms", "duty_ms", "slot_ms"):
        bus.redis.hset(bus.keys.sweep, field, server_ms(bus.redis) + 3_600_000)
    assert Monitor(bus.redis).sweep() <= monitor.INTERVAL_S + 0.01
    assert Monitor(bus.redis).sweep() <= monitor.STANDBY_S + 0.01
    bus.redis.flushall()
