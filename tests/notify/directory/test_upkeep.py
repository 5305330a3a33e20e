"""Who waits for changes of the directory sweeps, with one monitor for each bus."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

import notify
from notify import InvalidServiceError, RequestTimeoutError, ServiceNotFoundError, Withdrawn
from notify.directory import Upkeep
from notify.directory.monitor import INTERVAL_S, Monitor
from notify.testing import wait_until
from tests.support.faults import server_ms


def _monitors() -> int:
    return sum(thread.name == "notify-monitor" for thread in threading.enumerate())


def _fail_to_find(look: Callable[[], object]) -> None:
    with suppress(ServiceNotFoundError, RequestTimeoutError):
        look()


WAITERS: dict[str, Callable[[notify.Bus, ExitStack], object]] = {
    "watch": lambda bus, stack: stack.enter_context(bus.directory.watch()),
    "wait_for": lambda bus, _: _fail_to_find(lambda: bus.directory.wait_for("s", timeout_s=0.01)),
    "call": lambda bus, _: _fail_to_find(lambda: bus.call("s", "work")),
    "subscriber": lambda bus, stack: stack.enter_context(bus.subscribe("services")),
    "subscriber to all": lambda bus, stack: stack.enter_context(bus.subscribe("*")),
    "subscriber to the end of a service": lambda bus, stack: stack.enter_context(bus.subscribe("storage_status")),
    "subscriber to the ends of services": lambda bus, stack: stack.enter_context(bus.subscribe("stor*_status")),
    "listener": lambda bus, stack: stack.enter_context(bus.listen("services", callback=print)),
    "service": lambda bus, stack: stack.enter_context(bus.service("other")),
}


@pytest.mark.parametrize("wait", WAITERS.values(), ids=WAITERS)
def test_who_waits_for_changes_sweeps_until_the_bus_is_closed(server, wait):
    with ExitStack() as stack, notify.connect(server.url) as bus:
        assert _monitors() == 0
        wait(bus, stack)
        assert _monitors() == 1
        stack.close()
    assert _monitors() == 0


def test_all_that_wait_on_a_bus_share_one_monitor_and_no_connection_more(bus, another_bus):
    def connections() -> int:
        return len(another_bus.redis.client_list())

    with ExitStack() as stack:
        stack.enter_context(bus.directory.watch())
        wait_until(lambda: bus.redis.exists(bus.keys.sweep))
        before = connections()
        stack.enter_context(bus.subscribe("t"))
        of_a_subscriber = connections() - before
        for name in ("watch", "subscriber", "subscriber to all"):
            WAITERS[name](bus, stack)
        assert _monitors() == 1
        assert connections() == before + 4 * of_a_subscriber


@pytest.mark.parametrize("topic", ["t", "temp*", "status", "service", "jobs.services"])
def test_who_hears_of_no_service_does_not_sweep(bus, topic):
    with bus.subscribe(topic):
        list(bus.directory)
        assert _monitors() == 0


def test_a_directory_without_a_bus_sweeps_while_one_watches(bus):
    directory = notify.Directory(bus.redis)
    with directory.watch(), directory.watch():
        assert _monitors() == 2
    assert _monitors() == 0


@pytest.mark.any_server
@pytest.mark.parametrize("sweeps", [True, False], ids=["", "the twin that only listens"])
def test_the_only_other_process_watches_and_learns_of_the_death_in_time(bus, server, start, monkeypatch, sweeps):
    if not sweeps:
        monkeypatch.setattr(Upkeep, "keep_sweeping", lambda _: None)
    process, ttl_s = start("unswept_services", server.url, "storage", 0.6), 0.6
    process.told()
    with bus.directory.watch() as changes:
        changes.get(5)
        Monitor(bus.redis).sweep()
        os.kill(process.pid, signal.SIGKILL)
        key = bus.keys.service("storage")
        died_ms = int(bus.redis.hget(key, "beat_ms"))
        limit_ms = died_ms + (ttl_s + INTERVAL_S + 0.5) * 1000
        last = None
        while not isinstance(last, Withdrawn) and server_ms(bus.redis) < limit_ms:
            last = changes.get(0.05)
        assert isinstance(last, Withdrawn) is sweeps
    bus.redis.flushall()


def test_a_key_of_a_service_that_is_no_hash_hides_no_other(bus, caplog):
    class Exported:
        def work(self) -> str:
            return "done"

    with bus.service("s", exports=Exported(), groups={"all"}):
        bus.redis.set(bus.keys.service("odd"), "text", ex=60)
        bus.redis.sadd(bus.keys.services, "odd")
        for index in (bus.keys.provides("work"), bus.keys.group("all")):
            bus.redis.zadd(index, {"odd": 1})
        for _ in range(2):
            assert [service.name for service in bus.directory] == ["s"]
            assert bus.directory.find(provides="work").name == bus.directory.find(group="all").name == "s"
            assert bus.call(notify.provides("work"), "work") == "done"
            assert "odd" not in bus.directory
        assert caplog.text.count("is no hash") == 1
        for index in (bus.keys.provides("work"), bus.keys.group("all")):
            bus.redis.zrem(index, "odd")
        bus.redis.srem(bus.keys.services, "odd")
        bus.redis.delete(bus.keys.service("odd"))


BAD: dict[str, Callable[[notify.Bus], object]] = {
    "provides": lambda bus: notify.provides(["x"]),
    "call": lambda bus: bus.call(5, "work"),
    "call by a capability made by hand": lambda bus: bus.call(notify.Provider(["x"]), "work"),
    "watch": lambda bus: bus.directory.watch(5),
    "watch, provides": lambda bus: bus.directory.watch(provides=["x"]),
    "watch, group": lambda bus: bus.directory.watch(group=5),
    "wait_for": lambda bus: bus.directory.wait_for(5, timeout_s=1),
    "wait_for, provides": lambda bus: bus.directory.wait_for(provides=5, timeout_s=1),
    "wait_for, a capability made by hand": lambda bus: bus.directory.wait_for(notify.Provider(["x"]), timeout_s=1),
}


@pytest.mark.parametrize("ask", BAD.values(), ids=BAD)
def test_what_is_no_text_is_refused_in_words(bus, ask):
    with pytest.raises(InvalidServiceError, match=r"text|is the name of a service"):
        ask(bus)
