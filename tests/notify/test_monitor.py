"""The sweep: whoever misses heartbeats is suspected, then withdrawn; once, however many sweepers there are."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest

import notify
from notify import Available, Suspect, Withdrawn
from notify.keys import due_member
from notify.monitor import BATCH, INTERVAL_S, Monitor
from notify.scripts import Scripts
from notify.testing import wait_until
from tests.faults import commands_during, server_ms

DUE = 200


def _register_silent(bus: notify.Bus, name: str, *, ttl_ms: int = 1) -> int:
    """Register a service that never sends a heartbeat. Returns its incarnation."""
    scripts = Scripts(bus.redis)
    body = scripts.body("services", {"change": "available", "service": name, "incarnation": "@incarnation@"})
    fields = {"name": name, "ttl_ms": str(ttl_ms), "provides": '["work"]'}
    incarnation = scripts.register(name, ttl_ms=ttl_ms, suspect_ms=max(1, ttl_ms // 2), provides=["work"], fields=fields, announcement=body)
    assert incarnation is not None
    return incarnation


def _changes(bus: notify.Bus, topic: str = "services") -> list[dict[str, object]]:
    """What was announced on a topic, from its log."""
    page = Scripts(bus.redis).catch_up(topic, after="0-0", count=10_000)
    return [notify.event.decode(topic, b'{"id":"0-0@e","prev":"0-0",' + data[1:])[0].contents for _, _, _, data in page.entries]


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


def test_200_services_that_are_due_and_4_sweepers_make_200_withdrawals(bus):
    names = [f"s{number}" for number in range(DUE)]
    incarnations = {name: _register_silent(bus, name) for name in names}

    def sweep_until_empty() -> None:
        monitor = Monitor(Scripts(bus.redis))
        wait_until(lambda: monitor.sweep() and not bus.redis.exists(bus.keys.due), timeout_s=20)

    _in_threads(*[sweep_until_empty] * 4)
    told = Counter((change["change"], change["service"], change["incarnation"]) for change in _changes(bus))
    expected = [
        (change, name, incarnation) for name, incarnation in incarnations.items() for change in ("available", "suspect", "withdrawn")
    ]
    assert told == Counter(expected)
    assert all(len(_changes(bus, f"{name}_status")) == 1 for name in names)
    assert not list(bus.directory)
    assert not bus.redis.exists(bus.keys.services, bus.keys.provides("work"))


def test_the_twin_a_sweeper_that_does_not_check_again_withdraws_more_often(bus):
    """What `withdraw` in one script is for: between the look and the step, others did it too."""
    names = [f"s{number}" for number in range(DUE)]
    for name in names:
        _register_silent(bus, name)
    wait_until(lambda: len(Scripts(bus.redis).due(count=DUE)[0]) == DUE)
    looked, withdrawn = threading.Barrier(4), []

    def sweep_naively() -> None:
        due, _ = Scripts(bus.redis).due(count=DUE)
        looked.wait()
        for member in due:
            bus.redis.zrem(bus.keys.due, member)
            withdrawn.append(member)

    _in_threads(*[sweep_naively] * 4)
    assert len(withdrawn) == 4 * DUE
    bus.redis.flushall()


def test_a_heartbeat_at_the_very_expiry_leaves_a_service_either_alive_or_withdrawn(bus):
    scripts = [Scripts(bus.redis), Scripts(bus.redis)]
    outcomes = Counter()
    for number in range(200):
        name = f"s{number}"
        incarnation = _register_silent(bus, name, ttl_ms=60_000)
        bus.redis.hset(bus.keys.service(name), "state", "suspect")
        bus.redis.zadd(bus.keys.due, {due_member(name, incarnation): server_ms(bus.redis) + number % 3})
        answers = {}

        def beat(name: str = name, incarnation: int = incarnation, answers: dict[str, object] = answers) -> None:
            body = scripts[0].body("services", {"change": "recovered", "service": name, "incarnation": incarnation})
            answers["beat"] = scripts[0].beat(name, incarnation, ttl_ms=60_000, suspect_ms=40_000, announcement=body)

        def withdraw(name: str = name, incarnation: int = incarnation, answers: dict[str, object] = answers) -> None:
            directory = notify.Directory(scripts[1])
            answers["withdrawal"] = directory.withdraw(name, incarnation, provides=["work"], reason="expired", only_if_due=True)

        _in_threads(beat, withdraw)
        withdrawn = answers["withdrawal"] is not None
        assert answers["beat"] == ("expired" if withdrawn else "alive")
        assert (name in bus.directory) is not withdrawn
        assert bool(bus.redis.exists(bus.keys.service(name))) is not withdrawn
        outcomes[withdrawn] += 1
    assert outcomes.total() == 200
    bus.redis.flushall()


def test_P8_a_sweep_that_finds_nothing_costs_one_command(bus):
    monitor = Monitor(Scripts(bus.redis))
    monitor.sweep()
    assert len(commands_during(bus.redis, monitor.sweep)) == 1
    with bus.service("s", ttl_s=3600):
        assert sum("due" in command for command in commands_during(bus.redis, monitor.sweep)) == 1


def test_a_service_that_misses_beats_is_suspected_then_withdrawn_each_told_once(bus):
    monitor = Monitor(Scripts(bus.redis))
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


def test_a_suspect_that_is_heard_again_is_told_to_be_there_and_stays(bus):
    monitor = Monitor(Scripts(bus.redis))
    with bus.service("s", ttl_s=3600) as service, bus.directory.watch("s") as changes:
        bus.redis.zadd(bus.keys.due, {due_member("s", service.incarnation): 1})
        monitor.sweep()
        assert bus.directory.lookup("s").state == "suspect"
        service._beat()
        assert bus.directory.lookup("s").state == "alive"
        monitor.sweep()
        told = [changes.get(5) for _ in range(3)]
        assert told == [Available("s", service.incarnation), Suspect("s", service.incarnation), Available("s", service.incarnation)]
        assert changes.get(0.05) is None


def test_more_than_a_batch_is_swept_without_a_pause(bus):
    for number in range(BATCH + 5):
        _register_silent(bus, f"s{number}", ttl_ms=3_600_000)
    bus.redis.zadd(bus.keys.due, dict.fromkeys(bus.redis.zrange(bus.keys.due, 0, -1), 1), xx=True)
    monitor = Monitor(Scripts(bus.redis))
    assert monitor.sweep() == 0.0
    assert monitor.sweep() > 0.0
    assert all(service.state == "suspect" for service in bus.directory)
    bus.redis.flushall()


def test_a_sweep_looks_away_for_no_longer_than_its_interval(bus):
    monitor = Monitor(Scripts(bus.redis))
    assert monitor.sweep() == INTERVAL_S
    with bus.service("s", ttl_s=3600):
        assert monitor.sweep() == INTERVAL_S


@pytest.mark.parametrize("garbage", ["no incarnation", "s#first", "#"])
def test_a_member_that_was_put_in_by_hand_does_not_stop_the_sweep(bus, garbage):
    bus.redis.zadd(bus.keys.due, {garbage: 0})
    _register_silent(bus, "s")
    monitor = Monitor(Scripts(bus.redis))
    wait_until(lambda: monitor.sweep() and "s" not in bus.directory)
    bus.redis.delete(bus.keys.due)


def test_a_description_that_was_spoilt_by_hand_does_not_stop_the_sweep(bus):
    _register_silent(bus, "spoilt")
    bus.redis.hset(bus.keys.service("spoilt"), "provides", "no JSON")
    _register_silent(bus, "s")
    monitor = Monitor(Scripts(bus.redis))
    wait_until(lambda: monitor.sweep() and not bus.redis.smembers(bus.keys.services))
    bus.redis.delete(bus.keys.provides("work"))


def test_the_monitor_of_a_bus_sweeps_while_the_bus_is_open_and_goes_on_after_an_outage(own_server, connect_to, caplog):
    bus = connect_to(own_server)
    bus.service("never-opened")
    own_server.kill()
    wait_until(lambda: "the sweep waits for the server" in caplog.text)
    own_server.restart()
    _register_silent(bus, "s")
    wait_until(lambda: "s" not in bus.directory)


def test_a_closed_monitor_leaves_no_thread(bus):
    monitor = Monitor(Scripts(bus.redis))
    monitor.close()
    with Monitor(Scripts(bus.redis)) as monitor:
        monitor.close()
        monitor.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "notify-monitor"]
