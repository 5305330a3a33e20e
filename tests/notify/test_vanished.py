"""Connections whose packets vanish: every part of a bus notices within two probes, goes on over a new connection, and closes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

import notify
from notify.directory import DirectoryScripts, Monitor
from notify.server import Client, open_client, release_raw, take_raw
from notify.testing import PrivateServer, wait_until
from tests.support.proxy import Proxy

NOTICED_S = 3.0
"""Two probes: a second of silence, and two for the answer."""
SLACK_S = 1.5
"""For a busy machine, and for the pauses of a backoff."""

pytestmark = [pytest.mark.any_server, pytest.mark.slow]

Notice = Callable[[], Any]
"""Waits until a part works again."""


class Adder:
    def add(self, a: int, b: int) -> int:
        return a + b


@pytest.fixture
def proxy(own_server: PrivateServer) -> Iterator[Proxy]:
    with Proxy(own_server.directory / "redis.sock") as running:
        yield running


@pytest.fixture
def outside(own_server: PrivateServer) -> Iterator[notify.Bus]:
    """A bus that loses no packets."""
    with notify.connect(own_server.url, name="outside") as bus:
        yield bus


def until_done(act: Callable[[], Any]) -> Notice:
    """Call a function until the server answers."""

    def succeeds() -> bool:
        try:
            act()
        except notify.ServerUnreachableError:
            return False
        return True

    return lambda: wait_until(succeeds, timeout_s=20)


class Parts:
    """All parts of a bus whose packets are about to vanish; each is a method that returns how to find out that it works again.

    Args:
        bus: the bus.
        outside: a bus on the same server that loses no packets.
        stack: closes what the methods open outside.
    """

    def __init__(self, bus: notify.Bus, outside: notify.Bus, stack: ExitStack) -> None:
        self.bus, self.outside, self.stack = bus, outside, stack
        self.scripts = DirectoryScripts(outside.redis)

    def subscriber(self) -> Notice:
        events = self.bus.subscribe("to.subscriber")
        return lambda: self.outside.publish("to.subscriber", 1) and wait_until(lambda: events.get(20))

    def pattern_subscriber(self) -> Notice:
        events = self.bus.subscribe("to.patterns.*")
        return lambda: self.outside.publish("to.patterns.x", 1) and wait_until(lambda: events.get(20))

    def listener(self) -> Notice:
        heard = threading.Event()
        self.bus.listen("to.listener", callback=lambda _: heard.set()).open()
        return lambda: self.outside.publish("to.listener", 1) and heard.wait(20)

    def manager(self) -> Notice:
        heard = threading.Event()
        self.bus.manager().__enter__().subscribe("client", lambda _: heard.set(), "to.manager")
        return lambda: self.outside.publish("to.manager", 1) and heard.wait(20)

    def background_publisher(self) -> Notice:
        publisher, events = self.bus.background_publisher(), self.stack.enter_context(self.outside.subscribe("in.background"))
        publisher.start()
        publisher.put("in.background", 0)
        assert events.get(5)
        return lambda: publisher.put("in.background", 1) or wait_until(lambda: events.get(20))

    def publisher(self) -> Notice:
        return until_done(lambda: self.bus.publish("directly", 1))

    def watch(self) -> Notice:
        changes = self.bus.directory.watch("watched")
        return lambda: (
            self.scripts.register("watched", ttl_ms=60_000, provides=[], groups=[], fields={}) and wait_until(lambda: changes.get(20))
        )

    def look_up(self) -> Notice:
        return until_done(lambda: list(self.bus.directory))

    def sweep(self) -> Notice:
        """A service dies when the packets vanish: the sweeps of the bus withdraw it."""
        self.scripts.register("dead", ttl_ms=1_000, provides=[], groups=[], fields={})
        return lambda: wait_until(lambda: not self.outside.redis.exists(self.outside.keys.service("dead")), timeout_s=20)

    def heartbeat(self) -> Notice:
        self.bus.service("alive", ttl_s=3).open()
        return lambda: beats_again(self.outside, "alive")

    def state(self) -> Notice:
        state = self.bus.state("any")
        return until_done(lambda: state.update(a=1))

    def report(self) -> Notice:
        service = self.bus.service("reporter").open()
        return until_done(lambda: service.report(1))

    def request_server(self) -> Notice:
        self.bus.service("server", exports=Adder()).open()
        assert self.outside.call("server", "add", 1, 1) == 2
        return lambda: self.outside.call("server", "add", 1, 2, timeout_s=20)

    def request_client(self) -> Notice:
        self.stack.enter_context(self.outside.service("called", exports=Adder()))
        assert self.bus.call("called", "add", 1, 1) == 2
        return until_done(lambda: self.bus.call("called", "add", 1, 2, timeout_s=20))

    def demand(self) -> Notice:
        demand = self.bus.demand("wanted")
        assert not demand.wait(0)
        self.stack.enter_context(self.outside.subscribe("wanted"))
        return until_done(lambda: demand.wait(20))


PARTS = [name for name in vars(Parts) if not name.startswith("_")]
IN_BACKGROUND = ["subscriber", "listener", "manager", "background_publisher", "watch", "sweep", "heartbeat", "request_server"]


def beats_again(bus: notify.Bus, name: str) -> None:
    """Wait until a service has sent a heartbeat after this call."""
    before: Any = bus.redis.hget(bus.keys.service(name), "beat_ms")
    wait_until(lambda: bus.redis.hget(bus.keys.service(name), "beat_ms") != before, timeout_s=20)


def noticed_after_s(parts: Parts, names: list[str], proxy: Proxy) -> dict[str, float]:
    """Let the packets vanish, and return after how many seconds each part worked again."""
    notices = {name: getattr(parts, name)() for name in names}
    found: dict[str, float] = {}
    proxy.vanish()
    began = time.monotonic()

    def find_out(name: str) -> None:
        notices[name]()
        found[name] = round(time.monotonic() - began, 2)

    threads = [threading.Thread(target=find_out, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    return found


def late(found: dict[str, float], names: list[str]) -> dict[str, float]:
    """The parts that noticed too late, or never."""
    after_s = {name: found.get(name, float("inf")) for name in names}
    return {name: s for name, s in after_s.items() if s > NOTICED_S + SLACK_S}


@pytest.mark.parametrize(("command_timeout_s", "names"), [(2.0, PARTS), (60.0, IN_BACKGROUND)], ids=["default", "patient"])
def test_every_part_notices_lost_packets_and_closes(proxy: Proxy, outside: notify.Bus, command_timeout_s: float, names: list[str]) -> None:
    """Experiment 29. However long the settings let the program wait for an answer, parts in the background wait for two seconds."""
    settings = notify.Settings(url=proxy.url, command_timeout_s=command_timeout_s)
    with ExitStack() as stack:
        bus = notify.connect(settings=settings, name="inside")
        try:
            found = noticed_after_s(Parts(bus, outside, stack), names, proxy)
            assert late(found, names) == {}, found
            proxy.vanish()
            began = time.monotonic()
        finally:
            with stack:
                bus.close()
        assert time.monotonic() - began < 2 * NOTICED_S + SLACK_S


def test_the_twin_a_sweep_on_the_connection_of_a_patient_program_does_not_notice(proxy: Proxy, outside: notify.Bus) -> None:
    with notify.connect(settings=notify.Settings(url=proxy.url, command_timeout_s=60.0)) as bus, Monitor(bus.redis):
        DirectoryScripts(outside.redis).register("dead", ttl_ms=1_000, provides=[], groups=[], fields={})
        proxy.vanish()
        time.sleep(NOTICED_S + SLACK_S)  # until now a bounded one has noticed
        assert outside.redis.exists(outside.keys.service("dead"))
        bus.redis.connection_pool.disconnect()  # ends the wait


def test_a_program_with_services_has_no_connection_for_them_besides_its_own(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus, bus.service("s"):
        bus.state("any")["a"] = 1
        assert bus._runtime._bounded is bus.redis


def with_idle_connections(proxy: Proxy, count: int) -> Client:
    """A client whose pool has so many idle connections, whose packets are lost."""
    client = open_client(notify.Settings(url=proxy.url, command_timeout_s=0.3), name="idle")
    pool = client.connection_pool
    for connection in [take_raw(pool) for _ in range(count)]:
        release_raw(pool, connection)
    proxy.vanish()
    return client


def test_several_dead_connections_cost_one_timeout(proxy: Proxy) -> None:
    client = with_idle_connections(proxy, 4)
    with pytest.raises(notify.ServerUnreachableError), client.translating("asking"):
        client.exchange("PING")
    assert client.exchange("PING") == b"PONG"
    client.close()


def test_the_twin_each_dead_connection_costs_a_timeout_of_its_own(proxy: Proxy) -> None:
    client = with_idle_connections(proxy, 4)
    for _ in range(4):
        with pytest.raises(redis.TimeoutError):
            client.exchange("PING")
        client._direct._kept.clear()
    client.close()


def test_a_program_signalled_after_its_packets_have_vanished_ends(proxy: Proxy, outside: notify.Bus) -> None:
    command = [sys.executable, "-m", "cli", "serve", "storage", "--url", proxy.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("serving storage")  # before it has the answer it does not know what to withdraw
        proxy.vanish()
        began = time.monotonic()
        process.terminate()
        _, said = process.communicate(timeout=20)
        assert time.monotonic() - began < 2 * NOTICED_S + SLACK_S
    assert "storage" not in outside.directory, said
