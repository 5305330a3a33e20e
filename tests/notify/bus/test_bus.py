"""The bus: its errors once it is closed, its publishers and topics, and one scenario with and without a server."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import notify
from notify import ClosedError, Settings
from notify.testing import fake_bus, wait_until

AFTER_CLOSE: dict[str, Callable[[notify.Bus], object]] = {
    "publish": lambda bus: bus.publish("t", 1),
    "register_publisher": lambda bus: bus.register_publisher("t"),
    "publish_unlogged": lambda bus: bus.publish_unlogged("t", 1),
    "background_publisher": lambda bus: bus.background_publisher(),
    "listen": lambda bus: bus.listen("t", callback=print),
    "topics": lambda bus: bus.topics(),
    "traffic": lambda bus: bus.traffic(),
    "subscribe": lambda bus: bus.subscribe("t"),
    "manager": lambda bus: bus.manager(),
    "service": lambda bus: bus.service("s"),
    "backplane": lambda bus: bus.backplane("s"),
    "directory": lambda bus: bus.directory,
    "state": lambda bus: bus.state("s"),
}


@pytest.mark.parametrize("call", AFTER_CLOSE.values(), ids=AFTER_CLOSE)
def test_a_closed_bus_raises_for_every_call(server, call):
    bus = notify.connect(server.url)
    bus.close()
    with pytest.raises(ClosedError, match=r"\(closed\).*connect again"):
        call(bus)


def test_a_bus_can_be_closed_twice(server):
    with notify.connect(server.url) as bus:
        bus.service("s")
        bus.close()
        bus.close()


def test_the_source_of_an_event_is_the_name_of_the_bus(server, bus, collect):
    with notify.connect(server.url, name="lab-7") as named, bus.subscribe("t") as events:
        named.publish("t", 1)
        named.register_publisher("t")(2)
        assert [event.source for event in collect(events, 2)] == ["lab-7", "lab-7"]


def test_L2_a_registered_topic_is_known_before_its_first_event(bus):
    assert bus.topics() == []
    publisher = bus.register_publisher("temperature")
    bus.register_publisher("temperature")
    assert bus.topics() == ["temperature"]
    assert repr(publisher) == "<Publisher of 'temperature'>"
    bus.publish("humidity", 40)
    assert bus.topics() == ["humidity", "temperature"]


@contextmanager
def _fake() -> Iterator[notify.Bus]:
    with fake_bus(Settings(ttl_s=3.0)) as bus:
        yield bus


@contextmanager
def _real(url: str) -> Iterator[notify.Bus]:
    with notify.connect(settings=Settings(url=url, ttl_s=3.0)) as bus:
        yield bus


@contextmanager
def _private(home: Path) -> Iterator[notify.Bus]:
    with notify.connect(environ={**os.environ, "NOTIFY_HOME": str(home), "NOTIFY_URL": "", "REDIS_URL": "", "NOTIFY_TTL_S": "3"}) as bus:
        yield bus


@contextmanager
def _memory() -> Iterator[notify.Bus]:
    with notify.connect("memory://", settings=Settings(ttl_s=3.0)) as bus:
        yield bus


@pytest.mark.parametrize("kind", ["real", "private", "fake", "memory"])
def test_M3_the_same_scenario_runs_on_a_real_a_private_and_a_fake_server(server, bus, collect, kind, tmp_path):
    calls: list[object] = []
    ways = {"real": lambda: _real(server.url), "private": lambda: _private(tmp_path / "home"), "fake": _fake, "memory": _memory}
    with (
        ways[kind]() as bus,
        bus.manager() as manager,
        bus.subscribe("t", "storage_*") as events,
        bus.directory.watch("storage") as changes,
    ):
        manager.subscribe("client", calls.append, "t")
        bus.publish("t", {"n": [1, None]}, retain_s=60)
        with bus.service("storage", provides={"store"}) as storage, bus.service("storage", instances=True) as second:
            assert [s.name for s in bus.directory] == ["notification-manager", "storage", second.name]
            assert bus.directory.find(provides="store").incarnation == storage.incarnation
            storage.state["count"] = 1
            assert storage.state.modify("count", lambda n: n + 1) == 2
            storage.report(KeyError("k"))
            storage.kill("out of disk", purge=True)
            with pytest.raises(notify.ServiceKilledError):
                storage.report("no more")
        with bus.subscribe("t") as late:
            assert [event.contents for event in collect(late, 1)] == [{"n": [1, None]}]
        seen = [event.contents for event in collect(events, 3)]
        assert seen == [{"n": [1, None]}, notify.Failure("KeyError", "'k'"), _killed("out of disk")]
        assert [type(change) for change in (changes.get(5), changes.get(5))] == [notify.Available, notify.Withdrawn]
        wait_until(lambda: len(calls) == 1)
        assert bus.state("storage").snapshot() == {}


def _killed(why: str) -> notify.Failure:
    return notify.Failure("StorageKilledError", f"storage killed: {why}", fatal=True)


def test_fake_buses_are_independent():
    with fake_bus() as one, fake_bus() as other:
        one.publish("t", 1)
        assert one.topics() == ["t"]
        assert other.topics() == []


def test_the_repr_of_a_bus_shows_its_address_without_a_password(server):
    url = server.url.replace("unix://", "unix://default:hush@")
    with notify.connect(settings=msgspec.structs.replace(Settings(), url=url)) as bus:
        assert repr(bus) == f"<Bus {server.url.replace('unix://', 'unix://***@')} namespace 'notify'>"


OPENED = {
    "subscriber": lambda bus: bus.subscribe("t"),
    "demand": lambda bus: bus.demand("t"),
    "background publisher": lambda bus: bus.background_publisher(),
    "watch": lambda bus: bus.directory.watch(),
    "manager": lambda bus: bus.manager().open(),
    "service": lambda bus: bus.service("s").open(),
    "bus": lambda bus: notify.connect(bus.settings.url),
}


@pytest.mark.parametrize("make", OPENED.values(), ids=OPENED)
def test_M9_close_returns_true_the_first_time_and_then_false(bus, make):
    opened = make(bus)
    assert [opened.close(), opened.close()] == [True, False]
