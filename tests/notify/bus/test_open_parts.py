"""`Bus.close` closes what was opened through the bus: in order, with a time limit, and whatever one part raises."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import notify
from notify import ClosedError, ServerUnreachableError, ServiceWithdrawnError
from notify.bus.open_parts import OpenParts
from notify.testing import fake_bus, wait_until

OPEN: dict[str, Callable[[notify.Bus], Any]] = {
    "publisher": lambda bus: bus.background_publisher().__enter__(),
    "publisher that was not started": lambda bus: bus.background_publisher(),
    "subscriber": lambda bus: bus.subscribe("t"),
    "watch": lambda bus: bus.directory.watch(),
    "demand": lambda bus: bus.demand("t"),
    "listener": lambda bus: bus.listen("t", callback=print).__enter__(),
    "manager": lambda bus: bus.manager("m").open(),
    "service": lambda bus: bus.service("s", exports=Exported()).open(),
    "service that was not opened": lambda bus: bus.service("s", exports=Exported()),
}

USE: dict[str, tuple[Callable[[Any], object], type[Exception]]] = {
    "publisher": (lambda publisher: publisher.start(), ClosedError),
    "publisher that was not started": (lambda publisher: publisher.put("t", 1), ClosedError),
    "subscriber": (lambda subscriber: subscriber.get(0), ClosedError),
    "watch": (lambda watch: watch.get(0), ClosedError),
    "demand": (lambda demand: demand.get(0), ClosedError),
    "listener": (lambda listener: listener.open(), ClosedError),
    "manager": (lambda manager: manager.subscribe("client", print, "t"), ClosedError),
    "service": (lambda service: service.report(1), ServiceWithdrawnError),
    "service that was not opened": (lambda service: service.open(), ClosedError),
}

LATE_S = 10.0
"""A thread that has not ended by then is blocked."""


class Exported:
    def act(self) -> str:
        return "done"


def _logged(bus: notify.Bus, topic: str = "t") -> list[object]:
    """Return the contents of all events in the log of a topic."""
    with bus.subscribe(topic, since="start") as events:
        return [event.contents for event in iter(lambda: events.get(0.1), None)]


def _in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run a function in a thread. Returns the thread, and a list that gets the result or the exception."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as exc:
            results.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


@pytest.mark.parametrize("kind", OPEN)
def test_closing_the_bus_closes_each_kind_of_part(server, bus, kind):
    """The fixtures check that no thread and no socket is left."""
    with notify.connect(server.url) as opened:
        part = OPEN[kind](opened)
    use, error = USE[kind]
    with pytest.raises(error):
        use(part)
    assert [service.name for service in bus.directory] == []


@pytest.mark.parametrize("kind", OPEN)
def test_a_part_may_be_closed_before_the_bus_and_after_it(server, bus, kind):
    with notify.connect(server.url) as opened:
        before, after = OPEN[kind](opened), OPEN[kind](opened)
        before.close()
    after.close()
    opened.close()


@pytest.mark.parametrize("kind", OPEN)
def test_the_bus_forgets_a_part_that_is_closed_and_dropped(server, bus, kind):
    with notify.connect(server.url) as opened:

        def open_and_close() -> "weakref.ref[Any]":
            part = OPEN[kind](opened)
            part.close()
            return weakref.ref(part)

        closed = [open_and_close() for _ in range(3)]
        OPEN[kind](opened)
        gc.collect()
        assert [part() for part in closed] == [None] * 3


@pytest.mark.any_server
def test_a_bus_that_opens_and_closes_10000_subscribers_does_not_grow():
    with fake_bus() as bus:
        for _ in range(10_000):
            bus.subscribe("t").close()
        gc.collect()
        assert len(bus._parts._parts) == 0


def test_the_bus_forgets_a_manager_that_could_not_be_opened(server, bus):
    """It also leaves no socket open, as the fixtures check."""
    with notify.connect(server.url) as opened:
        bus.redis.set(bus.keys.services, "spoilt")
        for _ in range(3):
            with pytest.raises(notify.ServerRefusedError):
                opened.manager("m").open()
        gc.collect()
        assert len(opened._parts._parts) == 1
        bus.redis.delete(bus.keys.services)


@pytest.mark.parametrize("kind", ["publisher that was not started", "manager", "listener", "service"])
def test_a_part_is_closed_also_if_nothing_else_refers_to_it(server, bus, kind):
    """Its events, threads and registration are still there."""
    with notify.connect(server.url) as opened:
        part = OPEN[kind](opened)
        if kind.startswith("publisher"):
            part.put("t", 1)
        del part
        gc.collect()
        assert len(bus.directory.find_all()) == (kind in ("manager", "service"))
    assert _logged(bus) == [1] * kind.startswith("publisher")
    assert bus.directory.find_all() == []


FIVE_THOUSAND = """
import sys, notify
from notify.bus.open_parts import OpenParts
if sys.argv[2] == "without":
    OpenParts.close = lambda self, *connections: [close() for close in connections]
with notify.connect(sys.argv[1]) as bus:
    publisher = bus.background_publisher()
    for number in range(5_000):
        publisher.put("t", number)
"""


@pytest.mark.parametrize(("way", "sent"), [("with", 5_000), ("without", 0)])
def test_the_accepted_events_are_sent_before_the_process_ends(server, bus, way, sent):
    """Without the flush, the twin, the process ends without a word and all 5,000 events are lost."""
    ended = subprocess.run([sys.executable, "-c", FIVE_THOUSAND, server.url, way], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")
    assert _logged(bus) == list(range(sent))


def test_events_that_cannot_be_sent_in_time_are_an_error_that_says_how_many(own_server, connect_to, monkeypatch):
    monkeypatch.setattr("notify.bus.open_parts.FLUSH_S", 0.3)
    bus = connect_to(own_server)
    first, second = bus.background_publisher(), bus.background_publisher()
    own_server.freeze()
    for number in range(20):
        first.put("t", number)
    second.put("t", 1)
    with pytest.raises(ServerUnreachableError, match=r"^1 accepted events could not be sent to unix://\S+ in 0.3 s and are lost") as caught:
        bus.close()
    (note,) = caught.value.__notes__
    assert "ServerUnreachableError: 20 accepted events could not be sent" in note
    bus.close()
    own_server.thaw()


BLOCKED: dict[str, Callable[[notify.Bus], object]] = {
    "get of a subscriber": lambda bus: bus.subscribe("t").get(),
    "loop over a subscriber": lambda bus: [*bus.subscribe("t"), None][-1],
    "get of a watch": lambda bus: bus.directory.watch("nobody").get(),
    "loop over a watch": lambda bus: [*bus.directory.watch("nobody"), None][-1],
    "get of a demand": lambda bus: bus.demand("nothing").get(),
    "wait of a demand": lambda bus: bus.demand("nothing").wait() or None,
}


@pytest.mark.parametrize("way", BLOCKED)
def test_a_call_that_waits_in_another_thread_ends_with_the_bus(server, bus, way):
    with notify.connect(server.url) as opened:
        thread, results = _in_thread(lambda: BLOCKED[way](opened))
        wait_until(lambda: len(opened._parts._parts) == 1)
    thread.join(LATE_S)
    (result,) = results
    assert result is None or isinstance(result, ClosedError)  # the bus may be closed just before the call


def test_waiting_for_a_service_ends_with_the_bus(server, bus):
    with notify.connect(server.url) as opened:
        thread, results = _in_thread(lambda: opened.directory.wait_for("nobody"))
        wait_until(lambda: len(opened._parts._parts) == 1)
    thread.join(LATE_S)
    assert [type(result) for result in results] == [ClosedError]


def test_services_are_withdrawn_after_the_queued_events_are_sent(server, bus):
    with bus.subscribe("t", "*_status") as seen:
        with notify.connect(server.url) as opened:
            opened.manager("m").open()
            opened.service("s").open()
            publisher = opened.background_publisher()
            for number in range(1_000):
                publisher.put("t", number)
        topics = [event.topic for event in iter(lambda: seen.get(0.2), None)]
    assert topics[:1_000] == ["t"] * 1_000
    assert sorted(topics[1_000:]) == ["m_status", "s_status"]


def test_a_running_method_and_its_event_are_finished_before_the_withdrawal(server, bus):
    began, may_end = threading.Event(), threading.Event()

    class Slow:
        def act(self) -> str:
            began.set()
            assert may_end.wait(LATE_S)
            publisher.put("t", "queued")
            opened.publish("t", "published")
            return "done"

    with notify.connect(server.url) as opened:
        publisher = opened.background_publisher()
        opened.service("slow", exports=Slow()).open()
        calling, answers = _in_thread(lambda: bus.call("slow", "act"))
        assert began.wait(LATE_S)
        closing, _ = _in_thread(opened.close)
        wait_until(lambda: opened._parts._closed_by is not None)
        may_end.set()
        closing.join(LATE_S)
    calling.join(LATE_S)
    assert answers == ["done"]
    assert sorted(map(str, _logged(bus))) == ["published", "queued"]


def test_a_part_that_raises_does_not_keep_the_others_open(server, bus):
    def fail(what: str) -> Callable[[], None]:
        def close() -> None:
            raise RuntimeError(what)

        return close

    opened = notify.connect(server.url)
    parts = {kind: OPEN[kind](opened) for kind in ("service", "demand", "subscriber", "listener", "publisher")}
    parts["publisher"].put("t", 1)
    really = parts["subscriber"].close
    parts["subscriber"].close, parts["demand"].close = fail("no subscriber"), fail("no demand")
    with pytest.raises(RuntimeError, match="no subscriber") as caught:
        opened.close()
    assert caught.value.__notes__ == ["while the bus was closed, this was raised too: RuntimeError: no demand"]
    assert not parts["listener"].is_open
    assert parts["publisher"].is_closed
    assert parts["service"].wait(0)
    assert bus.directory.find_all() == []
    assert _logged(bus) == [1]
    with pytest.raises(ClosedError):
        opened.redis.exchange("PING")
    really()


def test_ctrl_c_while_a_part_is_closed_closes_the_others_and_is_raised(server, bus):
    def interrupted() -> None:
        raise KeyboardInterrupt

    opened = notify.connect(server.url)
    service, subscriber = opened.service("s").open(), opened.subscribe("t")
    really, subscriber.close = subscriber.close, interrupted
    with pytest.raises(KeyboardInterrupt):
        opened.close()
    assert service.wait(0)
    really()


def test_a_callback_that_waits_for_room_in_a_publisher_is_released(server, bus, caplog):
    waiting = threading.Event()

    def put(_: object) -> None:
        waiting.set()
        publisher.put("t", "second")

    opened = notify.connect(server.url)
    publisher = opened.background_publisher(max_items=1, when_full="block")
    publisher.put("t", "first")
    opened.manager("m").open().subscribe("client", put, "other")
    bus.publish("other", 1)
    assert waiting.wait(LATE_S)
    opened.close()
    assert _logged(bus) == ["first"]
    assert "PublisherFullError: 1 events wait to be sent" in caplog.text


@pytest.mark.parametrize("way", ["listener", "manager", "method", "on_link"])
def test_a_callback_may_close_the_bus(server, bus, way):
    closed = threading.Event()

    class Closing:
        def close_all(self) -> None:
            close()

    def close(*_: object) -> None:
        opened.close()
        closed.set()

    def on_link(status: notify.LinkStatus) -> None:
        if way == "on_link" and status.state is notify.LinkState.ACTIVE:
            ready.wait(LATE_S)
            close()

    ready = threading.Event()
    opened = notify.connect(server.url, on_link=on_link)
    publisher = opened.background_publisher()
    publisher.put("t", 1)
    if way == "listener":
        opened.listen("other", callback=close).open()
    if way == "manager":
        opened.manager("m").open().subscribe("client", close, "other")
    if way == "method":
        opened.service("s", exports=Closing()).open()
        with suppress(ServiceWithdrawnError):  # the service is withdrawn before its answer is sent
            bus.call("s", "close_all")
    bus.publish("other", 1)
    ready.set()
    assert closed.wait(LATE_S)
    assert _logged(bus) == [1]


def test_callbacks_that_all_close_the_bus_and_the_main_thread_do_not_block(server, bus):
    opened = notify.connect(server.url)
    calls: list[int] = []
    together = threading.Barrier(4)

    def close(_: object) -> None:
        together.wait(LATE_S)
        opened.close()
        calls.append(1)

    opened.listen("t", callback=close).open()
    opened.listen("t", callback=close).open()
    opened.manager("m").open().subscribe("client", close, "t")
    bus.publish("t", 1)
    together.wait(LATE_S)
    opened.close()
    wait_until(lambda: len(calls) == 3)


def test_a_second_close_waits_for_the_first_unless_in_a_daemon_thread(own_server, connect_to, monkeypatch):
    bus = connect_to(own_server)
    publisher = bus.background_publisher()
    own_server.freeze()
    publisher.put("t", 1)
    first, _ = _in_thread(bus.close)
    wait_until(lambda: bus._parts._closed_by is not None)
    daemon = threading.Thread(target=bus.close, daemon=True)
    daemon.start()
    daemon.join(LATE_S)
    assert first.is_alive()
    own_server.thaw()
    bus.close()
    assert publisher.is_closed
    assert publisher.counters.sent == 1
    first.join(LATE_S)


def test_while_the_bus_is_being_closed_nothing_is_opened_through_it(server, bus):
    begun = threading.Event()
    refused: list[str] = []

    def subscribe(_: object) -> None:
        begun.set()
        wait_until(lambda: opened._parts._closed_by is not None)
        with pytest.raises(ClosedError, match="the bus is closed: connect again"):
            opened.subscribe("t")
        refused.append("subscribe")

    opened = notify.connect(server.url)
    opened.manager("m").open().subscribe("client", subscribe, "other")
    bus.publish("other", 1)
    assert begun.wait(LATE_S)
    opened.close()
    assert refused == ["subscribe"]


def test_a_part_is_closed_once_it_is_refused():
    parts = OpenParts()
    parts.close()
    with fake_bus() as bus:
        subscriber = bus.subscribe("t")
        with pytest.raises(ClosedError, match="the bus is closed"):
            parts.add(subscriber)
        with pytest.raises(ClosedError, match="Subscriber"):
            subscriber.get(0)
