"""The fake server of ``memory://``: what works on it, and what is refused in words."""

import os
import sys

import pytest

import notify
from notify.errors import SettingsError
from notify.testing import fake_bus, wait_until
from workers import Queue, Worker

pytestmark = pytest.mark.any_server


def test_M3_memory_gives_a_new_fake_server_each_time():
    with notify.connect("memory://") as one, notify.connect("memory://") as other:
        one.publish("t", 1)
        assert one.topics() == ["t"]
        assert other.topics() == []
        assert repr(one) == "<Bus memory:// namespace 'notify'>"


def test_M3_a_name_is_shared_by_all_who_connect_to_it():
    with notify.connect("memory://lab") as one, notify.connect("memory://lab") as other, notify.connect("memory://yard") as third:
        with other.subscribe("t") as events:
            one.publish("t", 1)
            assert events.get(5).contents == 1
        assert third.topics() == []
    with notify.connect("memory://lab") as later:
        assert later.topics() == ["t"]


def test_M3_memory_comes_from_the_environment_too():
    with notify.connect(environ={"NOTIFY_URL": "memory://"}, name="lab-7") as bus, bus.subscribe("t") as events:
        bus.publish("t", 1)
        assert events.get(5).source == "lab-7"
        assert bus.socket_path is None


def test_M3_events_services_state_and_calls_work_in_memory():
    class Calculator:
        def multiply(self, a: int, b: int) -> int:
            return a * b

    states = []
    with (
        notify.connect("memory://", on_link=states.append) as bus,
        bus.background_publisher() as publisher,
        bus.subscribe(["t", "clock.*"]) as events,
        bus.service("clock", exports=Calculator()) as clock,
    ):
        publisher.put("t", 1)
        assert events.get(5).contents == 1
        clock.report("hello", subject="s", to=bus.name)
        assert events.get(5).contents == "hello"
        clock.report("kept", subject="s", retain_s=60)
        assert clock.reports.purge() == ["clock.s"]
        assert bus.call("clock", "multiply", 6, 7) == 42
        clock.state["n"] = 1
        assert clock.state.increment("n") == 2
        wait_until(lambda: states)
        assert str(states[0]) == f"ACTIVE redis 8.0 pid {os.getpid()} (memory://)"


REFUSED = {
    "demand": lambda bus: bus.demand("t"),
    "listen": lambda bus: bus.listen("t", callback=print),
    "traffic": lambda bus: bus.traffic(),
    "worker": lambda bus: Worker([Queue("q", connection=bus.redis)], connection=bus.redis),
}


@pytest.mark.parametrize("connect", [lambda: notify.connect("memory://"), fake_bus], ids=["memory", "fake_bus"])
@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_M3_what_needs_a_server_is_refused_in_words_in_memory(use, connect):
    with connect() as bus, pytest.raises(SettingsError, match=r"needs a Redis server, and memory:// is a fake one.*private server"):
        use(bus)


@pytest.mark.parametrize("missing", ["fakeredis", "lupa"])
def test_M3_memory_without_its_extra_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingsError, match=r"'memory://' needs fakeredis with Lua: pip install 'notify-workers\[testing\]'"):
        notify.connect("memory://")
