"""Back pressure through the log: a publisher that waits for a position loses no event of its reader, however slow that is."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

import notify
from notify import Event, Gap, WiringError
from notify.flows import Flow, contents, pipeline, publish_to, stage, subscribe_to
from notify.flows.topics import pace
from notify.server import Client
from notify.testing import PrivateServer, wait_until

Connect = Callable[..., notify.Bus]
LOG: int = 400
TOTAL: int = 3_000


def is_whole(bus: notify.Bus, topic: str = "t") -> bool:
    """Whether the log of a topic still has its first event."""
    ((_, fields),) = bus.redis.xrange(bus.keys.log(topic), count=1)
    return bool(fields[b"prev"] == b"0-0")


class Reader:
    """The sink of a flow: it takes nothing until it is let go, and keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.go = threading.Event()

    def __call__(self, item: Any) -> None:
        self.go.wait(20)
        self.got.append(item)


def reading(bus: notify.Bus, reader: Reader, *topics: str, since: str | None = None) -> Flow:
    """A flow with the position ``slow``. Little fits between its source and its sink."""
    source = subscribe_to(bus, *topics, position="slow", since=since)
    return pipeline(source, stage(contents, max_items=10), stage(reader, max_items=10, gaps=True))


def test_a_publisher_waits_for_the_reader_and_no_event_is_lost(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    short, reader = connect_to(server, log_length=LOG), Reader()
    with reading(short, reader, "t"):
        writing = pipeline(range(TOTAL), publish_to(short, "t", waits_for="slow")).start()
        assert not writing.wait(0.3)
        assert is_whole(bus)
        reader.go.set()
        wait_until(lambda: len(reader.got) == TOTAL, timeout_s=20, what="all events")
        assert writing.close()
    assert reader.got == list(range(TOTAL))


def test_twin_a_publisher_that_does_not_wait_leaves_a_gap(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    short, reader = connect_to(server, log_length=LOG), Reader()
    bus.redis.config_set("client-output-buffer-limit", "pubsub 64kb 64kb 1")
    try:
        with reading(bus, reader, "t"):
            pipeline(range(TOTAL), publish_to(short, "t")).run()
            reader.go.set()
            wait_until(lambda: TOTAL - 1 in reader.got, timeout_s=20, what="the last event")
    finally:
        bus.redis.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
    assert len(reader.got) < TOTAL
    assert any(isinstance(item, Gap) for item in reader.got)


def test_a_reader_that_has_not_begun_is_waited_for(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    short, reader = connect_to(server, log_length=LOG), Reader()
    reader.go.set()
    writing = pipeline(range(TOTAL), publish_to(short, "lab.t", waits_for="slow")).start()
    assert not writing.wait(0.3)
    with reading(short, reader, "lab.*", since="start"):
        wait_until(lambda: len(reader.got) == TOTAL, timeout_s=20, what="all events")
    assert writing.close()
    assert reader.got == list(range(TOTAL))


def test_events_of_other_publishers_count(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    short, reader = connect_to(server, log_length=LOG), Reader()
    with reading(bus, reader, "t"):
        for number in range(LOG // 2):
            short.publish("t", number)
        writing = pipeline(range(LOG), publish_to(short, "t", waits_for="slow")).start()
        assert not writing.wait(0.3)
        assert is_whole(bus)
        reader.go.set()
        wait_until(lambda: len(reader.got) == LOG + LOG // 2, timeout_s=20, what="all events")
        assert writing.close()


def test_large_events_are_held_back_by_the_size_of_the_log(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    small, reader = connect_to(server, log_bytes=400_000), Reader()
    with reading(bus, reader, "t"):
        writing = pipeline(("x" * 10_000 for _ in range(100)), publish_to(small, "t", waits_for="slow")).start()
        assert not writing.wait(0.3)
        assert bus.redis.xlen(bus.keys.log("t")) <= 40
        reader.go.set()
        wait_until(lambda: len(reader.got) == 100, timeout_s=20, what="all events")
        assert writing.close()


def test_topics_that_the_reader_does_not_read_are_not_held_back(server: PrivateServer, bus: notify.Bus, connect_to: Connect) -> None:
    short, reader = connect_to(server, log_length=LOG), Reader()
    with reading(bus, reader, "t"):
        events = [Event(topic="other", contents=number) for number in range(TOTAL)]
        pipeline(events, publish_to(short, waits_for="slow")).run()
        reader.go.set()
    assert not is_whole(bus, "other")


def test_a_publisher_that_waits_can_be_cut_and_says_what_it_waits_for(
    server: PrivateServer, bus: notify.Bus, connect_to: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pace, "TELL_S", 0.05)
    short = connect_to(server, log_length=LOG)
    flow = pipeline(range(TOTAL), publish_to(short, "t", waits_for="nobody")).start()
    said = "on 't' the position 'nobody' is more than 200 events behind; check that its flow runs"
    wait_until(lambda: said in caplog.text, what="the log")
    assert flow.close(timeout_s=0.1) is False
    assert is_whole(bus)
    dropped = sum(counters.dropped for counters in flow.counters().values())
    assert bus.redis.xlen(bus.keys.log("t")) + dropped + _unread(flow) == TOTAL


def _unread(flow: Flow) -> int:
    """How many items the source had not given when the flow was cut."""
    return TOTAL - flow.counters()["range"].out


def test_an_outage_of_the_server_is_waited_for(own_server: PrivateServer, connect_to: Connect) -> None:
    short, reader = connect_to(own_server, log_length=LOG), Reader()
    with reading(short, reader, "t"):
        writing = pipeline(range(TOTAL), publish_to(short, "t", waits_for="slow")).start()
        assert not writing.wait(0.2)
        own_server.freeze()
        reader.go.set()
        assert not writing.wait(0.2)
        own_server.thaw()
        wait_until(lambda: len(reader.got) == TOTAL, timeout_s=20, what="all events")
        assert writing.close()
    assert reader.got == list(range(TOTAL))


def test_a_log_that_may_not_be_looked_at_is_waited_for(
    server: PrivateServer, bus: notify.Bus, connect_to: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run the 'xinfo|stream' command")

    monkeypatch.setattr(Client, "xinfo_stream", refuse)
    flow = pipeline(range(10), publish_to(connect_to(server), "t", waits_for="slow")).start()
    wait_until(lambda: "waits for the server" in caplog.text and "xinfo|stream" in caplog.text, what="the log")
    assert flow.close(timeout_s=0.1) is False
    assert bus.redis.xlen(bus.keys.log("t")) == 0


@pytest.mark.parametrize("name", ["", 5])
def test_a_name_of_a_position_that_is_none_is_refused(bus: notify.Bus, name: Any) -> None:
    with pytest.raises(WiringError, match="the name of a position is"):
        publish_to(bus, "t", waits_for=name)
