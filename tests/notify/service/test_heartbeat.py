"""Heartbeats keep a service registered; without them it is withdrawn once, and returns as a new incarnation."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

import notify
from notify import Available, Failure, ServiceKilledError, Suspect, Withdrawn
from notify.directory.monitor import INTERVAL_S, Monitor
from notify.directory.scripts import Beat, DirectoryScripts
from notify.service.service import Service
from notify.testing import wait_until
from tests.support.faults import beat, commands_during, everything, server_ms


@pytest.mark.any_server
def test_a_heartbeat_keeps_a_service_for_many_times_its_ttl(bus):
    with bus.service("s", ttl_s=0.4) as service, bus.directory.watch("s") as changes:
        assert changes.get(5) == Available("s", service.incarnation)
        beats = set()

        def has_beaten_often() -> bool:
            beats.add(bus.directory.lookup("s").last_beat)
            return len(beats) > 9

        wait_until(has_beaten_often)
        assert changes.get(0) is None
        assert bus.directory.lookup("s").incarnation == service.incarnation


def _last_beat_ms(bus: notify.Bus, name: str) -> int | None:
    beat = bus.redis.hget(bus.keys.service(name), "beat_ms")
    return beat and int(beat)


def test_a_killed_process_is_withdrawn_once_and_in_time(bus, server, start, collect):
    """Experiment 14: after a ttl, and before a ttl plus one sweep plus half a second. Of several monitors only one withdraws it."""
    ttl_s = 0.6
    process = start("service", server.url, "storage", ttl_s)
    incarnation = process.told()["incarnation"]
    with (
        Monitor(bus.redis),
        Monitor(bus.redis),
        Monitor(bus.redis),
        bus.subscribe("storage_status") as status,
        bus.subscribe("services") as services,
    ):
        process.kill()
        last_beat_ms = _last_beat_ms(bus, "storage")
        events = collect(services, 2, timeout_s=ttl_s + 2, quiet_s=0.2)
        (fatal,) = collect(status, 1)
    assert [event.contents["change"] for event in events] == ["suspect", "withdrawn"]
    assert {event.contents["incarnation"] for event in events} == {incarnation}
    assert fatal.contents == Failure("StorageExpiredError", "storage expired: no heartbeat", fatal=True)
    end = bus.directory.last_end("storage")
    assert (end.incarnation, end.reason, end.why, end.event) == (incarnation, "expired", "no heartbeat", fatal.id)
    withdrawn_ms = int(bus.redis.hget(bus.keys.tombstone("storage"), "at_ms"))
    assert ttl_s * 1000 <= withdrawn_ms - last_beat_ms <= ttl_s * 1000 + INTERVAL_S * 1000 + 500
    assert "storage" not in bus.directory


@pytest.mark.any_server
def test_the_twin_without_a_sweep_a_killed_process_stays_registered(bus, server, start):
    """Why there is a sweep: a deadline alone withdraws no service."""
    process = start("unswept_services", server.url, "storage", 0.3)
    process.told()
    process.kill()
    bound_ms = _last_beat_ms(bus, "storage") + 300 + INTERVAL_S * 1000 + 500
    wait_until(lambda: server_ms(bus.redis) > bound_ms)
    assert bus.redis.hget(bus.keys.service("storage"), "state") == b"alive"
    assert bus.directory.is_taken("storage")
    monitor = Monitor(bus.redis)
    wait_until(lambda: monitor.sweep() is not None and not bus.directory.is_taken("storage"))


@pytest.mark.any_server
@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_client_clock_that_is_an_hour_wrong_has_no_effect(bus, server, start, ahead_s):
    """Experiment 19: heartbeats, sweeps and withdrawals go by the server's clock."""
    ttl_s = 1.2
    with bus.service("right", ttl_s=ttl_s) as right, bus.directory.watch() as changes:
        assert changes.get(5) == Available("right", right.incarnation)
        process = start("skewed_service", server.url, "wrong", ttl_s, ahead_s)  # it sweeps as well
        incarnation = process.told()["incarnation"]
        assert changes.get(5) == Available("wrong", incarnation)
        registered_ms = server_ms(bus.redis)
        wait_until(lambda: server_ms(bus.redis) > registered_ms + 2 * ttl_s * 1000)
        for name in ("right", "wrong"):
            assert registered_ms < _last_beat_ms(bus, name) <= server_ms(bus.redis)
        assert changes.get(0) is None
        process.kill()
        last_beat_ms = _last_beat_ms(bus, "wrong")
        assert changes.get(5) == Suspect("wrong", incarnation)
        assert changes.get(5) == Withdrawn("wrong", incarnation, "expired", "no heartbeat")
        withdrawn_ms = int(bus.redis.hget(bus.keys.tombstone("wrong"), "at_ms"))
        assert ttl_s * 1000 <= withdrawn_ms - last_beat_ms <= ttl_s * 1000 + INTERVAL_S * 1000 + 500


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_the_twin_with_client_clocks_loses_the_living_or_keeps_the_dead(bus, ahead_s):
    def beat(name: str, clock_s: float) -> None:
        bus.redis.zadd("naive", {name: clock_s})

    def sweep(clock_s: float, ttl_s: float) -> None:
        bus.redis.zremrangebyscore("naive", "-inf", clock_s - ttl_s)

    beat("alive", time.time())
    beat("dead", time.time() - 60)
    sweep(time.time() + ahead_s, ttl_s=5)
    assert bus.redis.zrange("naive", 0, -1) == ([] if ahead_s > 0 else [b"dead", b"alive"])
    bus.redis.delete("naive")


def test_a_heartbeat_of_another_incarnation_changes_nothing(bus):
    with bus.service("s", ttl_s=3600) as service:
        before = everything(bus.redis)
        wrong = [service.incarnation - 1, service.incarnation + 1, 0]
        assert DirectoryScripts(bus.redis).beat([Beat("s", incarnation, 60_000) for incarnation in wrong]) == ["gone"] * 3
        assert everything(bus.redis) == before


def test_P7_all_services_of_a_process_share_one_round_trip_and_thread(bus):
    with ExitStack() as stack:
        services = [stack.enter_context(bus.service(f"s{number}", ttl_s=3600)) for number in range(50)]
        manager = stack.enter_context(bus.manager())
        beat(services[0])  # loads the script
        before = [_last_beat_ms(bus, service.name) for service in services]
        wait_until(lambda: server_ms(bus.redis) > max(before))
        commands = commands_during(bus.redis, lambda: services[0]._heartbeats.send([service._registration for service in services]))
        assert len([command for command in commands if "s49" in command]) == 1
        assert all(_last_beat_ms(bus, service.name) > max(before) for service in services)
        assert len([thread for thread in threading.enumerate() if thread.name == "notify-heartbeats"]) == 1
        assert manager.name in bus.directory
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "notify-heartbeats"])


def test_services_of_one_process_drift_into_one_heartbeat(bus):
    """Each service begins at another time; a service that would be due within the jitter is sent along."""
    with ExitStack() as stack:
        services = [stack.enter_context(bus.service(f"s{number}", ttl_s=0.9)) for number in range(20)]
        wait_until(lambda: len({_last_beat_ms(bus, service.name) for service in services}) == 1, timeout_s=20)


def test_services_that_come_and_go_do_not_disturb_other_heartbeats(bus):
    with bus.service("stays", ttl_s=0.3) as stays:
        for number in range(20):
            with bus.service(f"s{number}", ttl_s=0.3) as service:
                if number % 2:
                    service.kill()
        wait_until(lambda: server_ms(bus.redis) > _last_beat_ms(bus, "stays"))
        last_ms = _last_beat_ms(bus, "stays")
        wait_until(lambda: _last_beat_ms(bus, "stays") > last_ms)
        assert stays.incarnation == bus.directory.lookup("stays").incarnation


def test_a_service_that_leaves_during_a_round_trip_is_not_due_again(bus, monkeypatch):
    with bus.service("s", ttl_s=3600) as service:
        heartbeats = service._heartbeats
        send = heartbeats._scripts.beat

        def send_and_leave(beats: list[Beat], **limits: float | None) -> list[str]:
            answers = send(beats, **limits)
            heartbeats.leave(service._registration)
            return answers

        monkeypatch.setattr(heartbeats._scripts, "beat", send_and_leave)
        heartbeats.send([service._registration])
        assert not heartbeats._due


def test_a_service_that_fails_to_register_again_stops_no_other(bus, monkeypatch, caplog):
    bad = bus.service("bad", ttl_s=0.3)
    monkeypatch.setattr(bad, "_on_lost", lambda answer: 1 / 0)
    with bus.service("good", ttl_s=0.3), bad:
        bus.directory.withdraw("bad", bad.incarnation, reason="expired")
        wait_until(lambda: "registering 'bad' again failed; the answer to its heartbeat was 'expired'" in caplog.text)
        last_ms = _last_beat_ms(bus, "good")
        wait_until(lambda: _last_beat_ms(bus, "good") > last_ms)


def test_a_service_registers_again_also_if_no_thread_can_be_started(bus, monkeypatch):
    def refuse(thread: threading.Thread, start: Callable[[threading.Thread], None] = threading.Thread.start) -> None:
        if thread.name == "notify-register-again":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with bus.service("s", ttl_s=0.3) as service:
        first = service.incarnation
        bus.directory.withdraw("s", first, reason="expired")
        wait_until(lambda: service.incarnation > first)


@pytest.mark.any_server
def test_a_slow_registration_delays_no_other_heartbeat(bus, monkeypatch):
    slow, coming, may_come = bus.service("slow", ttl_s=0.3), threading.Event(), threading.Event()
    on_lost = slow._on_lost

    def be_lost_slowly(answer: str) -> bool:
        coming.set()
        return may_come.wait(20) and on_lost(answer)

    monkeypatch.setattr(slow, "_on_lost", be_lost_slowly)
    with bus.service("good", ttl_s=0.3) as good, slow:
        first = slow.incarnation
        bus.directory.withdraw("slow", first, reason="expired")
        assert coming.wait(5)
        coming.clear()
        coming_ms = server_ms(bus.redis)
        wait_until(lambda: _last_beat_ms(bus, "good") > coming_ms + 900)
        assert bus.directory.lookup("good").incarnation == good.incarnation
        assert not coming.is_set()  # it comes back once
        may_come.set()
        wait_until(lambda: slow.incarnation > first)
        back_ms = server_ms(bus.redis)
        wait_until(lambda: _last_beat_ms(bus, "slow") > back_ms)


def test_a_service_that_closes_while_it_registers_again_leaves_no_thread(bus, monkeypatch):
    service, coming, may_come = bus.service("s", ttl_s=0.3), threading.Event(), threading.Event()
    register = service._registration.register

    def register_slowly() -> None:
        if service.incarnation:
            coming.set()
            may_come.wait(20)
        register()

    monkeypatch.setattr(service._registration, "register", register_slowly)
    service.open()
    bus.directory.withdraw("s", service.incarnation, reason="expired")
    assert coming.wait(5)
    closing = threading.Thread(target=service.close)
    closing.start()
    may_come.set()
    closing.join()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("notify-heartbeats", "notify-register-again"))]
    assert "s" not in bus.directory


def test_closing_a_bus_stops_the_heartbeats_of_open_services(server, bus, start):
    with notify.connect(server.url) as other:
        left = other.service("left", ttl_s=0.2).open()
    assert not [thread for thread in threading.enumerate() if thread.name == "notify-heartbeats"]
    assert left.wait(0)
    end = bus.directory.last_end("left")
    assert "left" not in bus.directory
    assert end is not None
    assert end.reason == "withdrawn"


def test_N5_a_frozen_service_returns_as_a_new_incarnation_with_its_state(bus, server, start, collect):
    process = start("service", server.url, "storage", 0.4)
    first = process.told()["incarnation"]
    bus.state("storage")["kept"] = 1
    with Monitor(bus.redis), bus.directory.watch("storage") as changes:
        assert changes.get(5) == Available("storage", first)
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: isinstance(changes.get(1), Withdrawn))
        with bus.subscribe("storage_status") as status:
            os.kill(process.pid, signal.SIGCONT)
            back = changes.get(5)
            (report,) = collect(status, 1)
        assert back.name == "storage"
        assert back.incarnation > first
        assert report.contents == "storage is back: it was expired"
        assert bus.state("storage").snapshot() == {"kept": 1}
    assert process.end() == 0
    bus.state("storage").clear()


def test_an_old_withdrawal_never_hits_the_incarnation_that_came_back(bus):
    with bus.service("s", ttl_s=3600, provides={"work"}) as service:
        first = service.incarnation
        assert bus.directory.withdraw("s", first, reason="expired")
        beat(service)
        assert service.incarnation > first
        for reason in ("expired", "killed", "withdrawn"):
            assert bus.directory.withdraw("s", first, reason=reason) is None
        assert bus.directory.find(provides="work").incarnation == service.incarnation
        service.state["f"] = 1
        service.kill(purge=True)


def test_a_heartbeat_of_the_old_incarnation_does_not_revive_it(bus):
    with bus.service("s", ttl_s=3600) as service:
        scripts, first = DirectoryScripts(bus.redis), service.incarnation
        bus.directory.withdraw("s", first, reason="expired")
        beat(service)
        later = service.incarnation
        beats = [Beat("s", first, 1000), Beat("s", later, 1000), Beat("s", later + 1, 1000), Beat("never was", 1, 1000)]
        before = everything(bus.redis)
        assert scripts.beat(beats) == ["expired", "alive", "gone", "gone"]
        assert everything(bus.redis).keys() == before.keys()
        assert bus.directory.lookup("s").incarnation == later


def test_a_service_killed_from_outside_ends_with_the_reason(bus, another_bus, collect):
    with bus.service("storage", ttl_s=0.3) as service, bus.subscribe("storage_status") as status:
        another_bus.directory.kill("storage", why="maintenance")
        assert service.wait(5)
        with pytest.raises(ServiceKilledError, match=r"^storage killed: maintenance$"):
            service.report("still here?")
        service.kill("me too")
        assert [str(event.contents) for event in collect(status, 1)] == ["storage killed: maintenance"]
        assert "storage" not in another_bus.directory


LOSSES: dict[str, Callable[[notify.Bus, Service], object]] = {
    "all data": lambda bus, _: bus.redis.flushall(),
    "its description": lambda bus, service: bus.redis.delete(bus.keys.service(service.name)),
    "its description, to a text": lambda bus, service: bus.redis.set(bus.keys.service(service.name), "spoilt", px=60_000),
    "its deadline": lambda bus, service: bus.redis.zrem(bus.keys.due, f"{service.name}#{service.incarnation}"),
    "its registration": lambda bus, service: bus.directory.withdraw(service.name, service.incarnation, reason="expired"),
}


@pytest.mark.parametrize("name", ["s", "s-2"])
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_service_that_the_directory_lost_registers_again_as_before(bus, lose, name):
    """Also a name with a suffix is kept by an instance, because others know it by that."""
    with bus.service("s", ttl_s=3600) as namesake, bus.service("s", ttl_s=3600, provides={"work"}, instances=True) as second:
        service = second if name == "s-2" else namesake
        first = service.incarnation
        lose(bus, service)
        beat(service)
        assert (service.name, service.name in bus.directory) == (name, True)
        assert service.incarnation > first
        assert bus.directory.lookup(name).incarnation == service.incarnation
        service.report("ready")
    assert bus.redis.smembers(bus.keys.services) == set()


def test_a_service_whose_name_was_taken_meanwhile_gets_another(bus):
    with bus.service("s", ttl_s=3600) as service:
        bus.directory.withdraw("s", service.incarnation, reason="expired")
        with bus.service("s", ttl_s=3600) as usurper:
            beat(service)
            assert (service.name, usurper.name) == ("s-2", "s")


def test_an_exclusive_service_waits_until_its_name_is_free_again(bus, caplog):
    with bus.service("s", ttl_s=0.15, exclusive=True) as service:
        first = service.incarnation
        bus.directory.withdraw("s", first, reason="expired")
        with bus.service("s", ttl_s=3600):
            wait_until(lambda: "'s' cannot register again yet" in caplog.text)
            assert service.incarnation == first
        wait_until(lambda: service.incarnation > first)
        assert bus.directory.lookup("s").incarnation == service.incarnation


def test_a_kill_during_a_new_registration_ends_the_service_for_good(bus, monkeypatch, collect):
    """The race: the service has registered again and is about to report that."""
    service = bus.service("s", ttl_s=3600).open()
    bus.directory.withdraw("s", service.incarnation, reason="expired")
    report, killing = Service.report, threading.Thread(target=service.kill, args=("now",))

    def be_killed_and_report(self: Service, contents: object, **how: object) -> str:
        killing.start()
        killing.join()
        return report(self, contents, **how)

    monkeypatch.setattr(Service, "report", be_killed_and_report)
    beat(service)
    assert service.wait(0)
    assert "s" not in bus.directory
    with pytest.raises(ServiceKilledError):
        service.check()


def test_a_service_outlives_its_server(own_server, connect_to, caplog):
    bus = connect_to(own_server)
    with bus.service("s", ttl_s=0.5) as service:
        own_server.kill()
        wait_until(lambda: "the heartbeat thread waits for the server" in caplog.text)
        own_server.restart()
        wait_until(lambda: _last_beat_ms(bus, "s") and server_ms(bus.redis) - _last_beat_ms(bus, "s") < 200)
        assert bus.directory.lookup("s").incarnation == service.incarnation
        service.report("still here")


def test_a_heartbeat_extends_the_expiry_of_the_description(bus):
    with bus.service("s", ttl_s=3600) as service:
        bus.redis.expire(bus.keys.service("s"), 10)
        beat(service)
        assert bus.redis.ttl(bus.keys.service("s")) > 3600


def test_closing_a_service_does_not_wait_for_its_next_heartbeat(bus):
    service = bus.service("s", ttl_s=3600).open()
    before = time.monotonic()
    service.close()
    assert time.monotonic() - before < 1
    assert not [thread for thread in threading.enumerate() if thread.name == "notify-heartbeats"]
