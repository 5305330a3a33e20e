"""The sweep: a silent service is suspected and then withdrawn, once, however many monitors sweep."""

import math
import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from operator import itemgetter

import pytest

import notify
from notify import Available, Suspect, Withdrawn
from notify.directory.monitor import BATCH, INTERVAL_S, SPACING_S, STANDBY_S, Monitor
from notify.directory.scripts import Beat, DirectoryScripts
from notify.events.scripts import EventScripts
from notify.keys import due_member
from notify.testing import wait_until
from tests.support.faults import beat, commands_during, let_pass, server_ms

DUE = 200


def _register_silent(bus: notify.Bus, name: str, *, ttl_ms: int = 1) -> int:
    """Register a service that never sends a heartbeat. Returns its incarnation."""
    incarnation = DirectoryScripts(bus.redis).register(name, ttl_ms=ttl_ms, provides=["work"], groups=["all"], fields={})
    assert incarnation is not None
    return incarnation


def _due(bus: notify.Bus) -> list[bytes]:
    return bus.redis.zrangebyscore(bus.keys.due, "-inf", server_ms(bus.redis))


def _changes(bus: notify.Bus, topic: str = "services") -> list[dict[str, object]]:
    """Return the contents of all events in the log of a topic."""
    page = EventScripts(bus.redis).read_log(topic, after="0-0", count=10_000)
    return [notify.events.event.decode(topic, b'{"id":"0-0@e","prev":"0-0",' + data[1:])[0].contents for _, _, _, data in page.entries]


def _in_threads(*targets: Callable[[], object]) -> None:
    together = threading.Barrier(len(targets))

    def run(target: Callable[[], object]) -> None:
        together.wait()
        target()

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_4_sweepers_withdraw_each_of_200_due_services_once(bus, server, start):
    """Experiment 15. So many at once are held for a ttl, with one alarm; after that nothing holds them."""
    names = [f"s{number}" for number in range(DUE)]
    incarnations = {name: _register_silent(bus, name, ttl_ms=3_600_000) for name in names}
    let_pass(bus, 2_400)
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() and bus.redis.scard(bus.keys.suspects) == DUE)
    let_pass(bus, 1_200)
    monitor.sweep()
    assert len(bus.directory.find_all(overdue=True)) == DUE
    let_pass(bus, 2_400)
    sweepers = [start("sweeper", server.url) for _ in range(4)]
    assert [sweeper.told() for sweeper in sweepers] == ["ready"] * 4
    let_pass(bus, 0)  # otherwise the time of their start would count as an outage
    for sweeper in sweepers:
        sweeper.go()
    assert sum(sweeper.told() for sweeper in sweepers) >= DUE / BATCH
    announced = Counter((change["change"], change.get("service"), change.get("incarnation")) for change in _changes(bus))
    expected = [
        (change, name, incarnation) for name, incarnation in incarnations.items() for change in ("available", "suspect", "withdrawn")
    ]
    assert announced == Counter([*expected, ("alarm", None, None)])
    assert all(len(_changes(bus, f"{name}_status")) == 1 for name in names)
    assert not bus.directory.find_all(overdue=True)
    assert not bus.redis.exists(bus.keys.services, bus.keys.provides("work"), bus.keys.group("all"), bus.keys.suspects)


def test_the_twin_a_sweeper_that_does_not_check_again_repeats_itself(bus):
    """Why `withdraw` checks inside the script: between the look and the step, others did it too."""
    names = [f"s{number}" for number in range(DUE)]
    for name in names:
        _register_silent(bus, name)
    wait_until(lambda: len(_due(bus)) == DUE)
    looked, withdrawn = threading.Barrier(4), []

    def sweep_naively() -> None:
        due = _due(bus)
        looked.wait()
        for member in due:
            bus.redis.zrem(bus.keys.due, member)
            withdrawn.append(member)

    _in_threads(*[sweep_naively] * 4)
    assert len(withdrawn) == 4 * DUE
    bus.redis.flushall()


def test_the_twin_check_then_act_lets_a_heartbeat_and_a_withdrawal_win(bus):
    """Why each is one script: otherwise the member is registered, and announced as withdrawn."""
    bus.redis.zadd("naive", {"s": 1})
    looked, ends = threading.Barrier(2), []

    def beat_naively() -> None:
        there = bus.redis.zscore("naive", "s") is not None
        looked.wait()
        if there:
            bus.redis.zadd("naive", {"s": server_ms(bus.redis) + 60_000})

    def withdraw_naively() -> None:
        due = bus.redis.zrangebyscore("naive", "-inf", server_ms(bus.redis))
        looked.wait()
        ends.extend(due)

    _in_threads(beat_naively, withdraw_naively)
    assert (ends, bus.redis.zscore("naive", "s") > server_ms(bus.redis)) == ([b"s"], True)
    bus.redis.delete("naive")


def test_a_heartbeat_at_the_deadline_keeps_a_service_or_comes_too_late(bus):
    """Experiment 16: a heartbeat and a withdrawal at the same moment leave the service either alive or withdrawn."""
    outcomes = Counter()
    for number in range(1_000):
        name = f"s{number}"
        incarnation = _register_silent(bus, name, ttl_ms=60_000)
        deadline_ms = server_ms(bus.redis) + number % 3
        bus.redis.hset(bus.keys.service(name), mapping={"state": "suspect", "beat_ms": deadline_ms - 60_000})
        bus.redis.zadd(bus.keys.due, {due_member(name, incarnation): deadline_ms})
        answers = {}

        def beat(name: str = name, incarnation: int = incarnation, answers: dict[str, object] = answers) -> None:
            (answers["beat"],) = DirectoryScripts(bus.redis).beat([Beat(name, incarnation, 60_000)])

        def withdraw(name: str = name, incarnation: int = incarnation, answers: dict[str, object] = answers) -> None:
            answers["withdrawal"] = bus.directory.withdraw(name, incarnation, reason="expired", only_if_due=True)

        _in_threads(beat, withdraw)
        withdrawn = answers["withdrawal"] is not None
        assert answers["beat"] == ("expired" if withdrawn else "alive")
        assert (name in bus.directory) is not withdrawn
        assert bool(bus.redis.exists(bus.keys.service(name))) is not withdrawn
        outcomes[withdrawn] += 1
    assert outcomes.total() == 1_000
    bus.redis.flushall()


def test_P8_a_sweep_that_finds_nothing_costs_one_command(bus):
    monitor = Monitor(bus.redis)
    monitor.sweep()
    assert len(commands_during(bus.redis, monitor.sweep)) == 1
    with bus.service("s", ttl_s=3600):
        assert sum("due" in command for command in commands_during(bus.redis, monitor.sweep)) == 1


def test_a_silent_service_is_suspected_once_and_then_withdrawn_once(bus):
    monitor = Monitor(bus.redis)
    with bus.directory.watch("s") as changes:
        incarnation = _register_silent(bus, "s", ttl_ms=200)
        assert changes.get(5) == Available("s", incarnation)
        assert 0 < monitor.sweep() <= 0.2
        assert bus.directory.lookup("s").state == "alive"
        wait_until(lambda: monitor.sweep() and bus.directory.lookup("s").state == "suspect")
        assert changes.get(5) == Suspect("s", incarnation)
        wait_until(lambda: monitor.sweep() and "s" not in bus.directory)
        assert changes.get(5) == Withdrawn("s", incarnation, "expired", "no heartbeat")
        assert changes.get(0.05) is None


def test_a_suspect_that_sends_heartbeats_again_is_announced_and_stays(bus):
    monitor = Monitor(bus.redis)
    with bus.service("s", ttl_s=3600) as service, bus.directory.watch("s") as changes:
        let_pass(bus, 2400)
        monitor.sweep()
        assert bus.directory.lookup("s").state == "suspect"
        beat(service)
        assert bus.directory.lookup("s").state == "alive"
        monitor.sweep()
        yielded = [changes.get(5) for _ in range(3)]
        assert yielded == [Available("s", service.incarnation), Suspect("s", service.incarnation), Available("s", service.incarnation)]
        assert changes.get(0.05) is None


def test_more_than_a_batch_is_swept_without_a_pause(bus):
    for number in range(BATCH + 5):
        _register_silent(bus, f"s{number}", ttl_ms=3_600_000)
    let_pass(bus, 2400)
    monitor = Monitor(bus.redis)
    assert [monitor.sweep(), monitor.sweep()] == [0.0, 0.0]
    assert monitor.sweep() > 0.0
    assert all(service.state == "suspect" for service in bus.directory)
    bus.redis.flushall()


def test_one_monitor_sweeps_in_time_and_the_others_stand_by_in_turn(bus):
    monitors = [Monitor(bus.redis) for _ in range(40)]
    waits_s = [monitor.sweep() for monitor in monitors]
    assert waits_s[0] == pytest.approx(INTERVAL_S, abs=0.1)
    assert waits_s[1:5] == pytest.approx([INTERVAL_S + n * SPACING_S for n in range(4)], abs=0.1)
    assert waits_s[10:] == pytest.approx([STANDBY_S] * 30, abs=0.1)


def _sweeps(bus: notify.Bus, monitors: int, *, seconds: float, dies_at: float = math.inf) -> list[float]:
    """Return the times of all sweeps of several monitors, on a simulated clock; at ``dies_at`` the next one to sweep dies."""
    waiting = [(number / 100, Monitor(bus.redis)) for number in range(monitors)]
    times: list[float] = []
    while (earliest := min(waiting, key=itemgetter(0)))[0] < seconds:
        at, sweeping = earliest
        waiting.remove(earliest)
        if at >= dies_at:
            on_duty = min(waiting, key=itemgetter(0))
            waiting.remove(on_duty)
            dies_at = math.inf
        let_pass(bus, at - (times[-1] if times else 0.0), swept=False)
        waiting.append((at + sweeping.sweep(), sweeping))
        times.append(at)
    return times


@pytest.mark.parametrize(("monitors", "most_per_s"), [(1, 1.1), (2, 2.1), (10, 5.1), (100, 35)])
def test_P8_many_monitors_share_the_sweep(bus, monitors, most_per_s):
    times = _sweeps(bus, monitors, seconds=30)
    assert len([at for at in times if at >= 10]) / 20 <= most_per_s
    assert max(after - before for before, after in pairwise(times)) <= INTERVAL_S + 0.1


@pytest.mark.parametrize("monitors", [2, 3, 4, 10])
@pytest.mark.parametrize("dies_at", [10.1, 10.4, 10.7])
def test_the_others_sweep_in_time_when_one_monitor_dies(bus, monitors, dies_at):
    """Also if it was the next to sweep: the others keep the bound of experiment 14."""
    times = _sweeps(bus, monitors, seconds=20, dies_at=dies_at)
    assert max(after - before for before, after in pairwise(times)) <= INTERVAL_S + 0.4


def test_a_monitor_sweeps_at_the_next_deadline_unless_another_does(bus):
    for name, ttl_ms in (("s", 3_600_000), ("t", 900)):
        _register_silent(bus, name, ttl_ms=ttl_ms)
    assert Monitor(bus.redis).sweep() <= 0.61
    assert Monitor(bus.redis).sweep() >= INTERVAL_S
    bus.redis.flushall()


GARBAGE = [
    "no incarnation",
    "s#first",
    "#",
    "#5",
    b"\xff",
    b"x\xff#5",
    "x#05",
    "x#+5",
    "x# 5",
    "x#5_0",
    "x#\u0665",
    "a b#5",
    "x" * 100_000 + "#5",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_an_invalid_member_of_the_due_set_does_not_stop_the_sweep(bus, garbage):
    bus.redis.zadd(bus.keys.due, {garbage: 0})
    _register_silent(bus, "s")
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() > 0 and "s" not in bus.directory)
    assert not bus.redis.exists(bus.keys.due)


SPOILS = {
    "a capability": lambda bus, key: bus.redis.hset(key, "provides", "no JSON"),
    "a capability, to what is no text": lambda bus, key: bus.redis.hset(key, "provides", b'["\xff"]'),
    "a group, to what is no text": lambda bus, key: bus.redis.hset(key, "groups", b'["\xff"]'),
    "its state": lambda bus, key: bus.redis.hset(key, "state", b"\xff"),
    "its incarnation": lambda bus, key: bus.redis.hset(key, "incarnation", b"\xff"),
    "a group": lambda bus, key: bus.redis.hset(key, "groups", "[5]"),
    "a time": lambda bus, key: bus.redis.hset(key, "beat_ms", "yesterday"),
    "a ttl": lambda bus, key: bus.redis.hset(key, "ttl_ms", ""),
    "all of it": lambda bus, key: bus.redis.set(key, "spoilt"),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_spoilt_description_does_not_stop_the_sweep(bus, spoil):
    _register_silent(bus, "spoilt")
    spoil(bus, bus.keys.service("spoilt"))
    _register_silent(bus, "s")
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() is not None and not bus.redis.smembers(bus.keys.services))
    bus.redis.delete(bus.keys.provides("work"), bus.keys.group("all"))


def test_the_monitor_of_a_bus_goes_on_after_an_outage(own_server, connect_to, caplog):
    """It sweeps as long as the bus is open."""
    bus = connect_to(own_server)
    bus.service("never-opened")
    own_server.kill()
    wait_until(lambda: "the sweep waits for the server" in caplog.text)
    own_server.restart()
    _register_silent(bus, "s")
    wait_until(lambda: "s" not in bus.directory)


def test_a_closed_monitor_leaves_no_thread(bus):
    monitor = Monitor(bus.redis)
    monitor.close()
    with Monitor(bus.redis) as monitor:
        monitor.close()
        monitor.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "notify-monitor"]
