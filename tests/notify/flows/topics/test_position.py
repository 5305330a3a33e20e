"""Positions that outlive a process: every event at least once at the ends of a flow, whatever ends it."""

import random
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import notify
from notify import InvalidPositionError
from notify.flows import batch, contents, discard, graph, lookup, pipeline, stage, subscribe_to
from notify.flows.topics import position as position_module
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process

Start = Callable[..., Process]


def stored(bus: notify.Bus, name: str = "p") -> Any:
    """The position as it is in Redis: topic → id."""
    value: Any = bus.redis.get(bus.keys.position(name))
    return None if value is None else msgspec.json.decode(value)["topics"]


def test_a_flow_goes_on_where_another_one_has_ended(bus: notify.Bus) -> None:
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "t", position="p"), contents, got.append):
        bus.publish("t", 1)
        wait_until(lambda: got == [1], what="the event")
    bus.publish("t", 2)
    with pipeline(subscribe_to(bus, "t", position="p"), contents, got.append):
        bus.publish("t", 3)
        wait_until(lambda: len(got) == 3, what="the events")
    assert got == [1, 2, 3]


def test_the_stored_position_is_readable_and_expires(bus: notify.Bus) -> None:
    with pipeline(subscribe_to(bus, "t", "lab.*", position="p"), discard):
        assert stored(bus) == {"t": "start", "lab.*": "start"}  # before the first event, so that a kill loses none
        last = bus.publish("t", 1)
        wait_until(lambda: stored(bus)["t"] == last, what="the position")
    value: Any = bus.redis.get("notify:position:p")
    assert set(msgspec.json.decode(value)) == {"topics", "at"}
    assert 29 * 86_400 < bus.redis.ttl("notify:position:p") <= 30 * 86_400


def test_a_position_is_stored_after_the_sink_took_the_event_and_not_before(bus: notify.Bus) -> None:
    blocks, entered = threading.Event(), threading.Event()

    def sink(_: Any) -> None:
        entered.set()
        blocks.wait(10)

    with pipeline(subscribe_to(bus, "t", position="p"), sink) as flow:
        first = bus.publish("t", 1)
        assert entered.wait(5)
        wait_until(lambda: flow.counters()["sink"].queued == 1, what="the mark behind the event")
        assert stored(bus) == {"t": "start"}
        blocks.set()
        wait_until(lambda: stored(bus) == {"t": first}, what="the position")


def test_all_ends_of_a_graph_have_to_take_an_event(bus: notify.Bus) -> None:
    blocks = threading.Event()
    fast: list[Any] = []
    flow = graph(
        nodes={
            "in": subscribe_to(bus, "t", position="p"),
            "one": contents,
            "two": contents,
            "fast": fast.append,
            "slow": lambda _: blocks.wait(10),
            "off": discard,
        },
        links={"in": ["one", "two"], "one": ["fast", "slow"], "two": ["fast"], ("one", "error"): "off"},
    )
    with flow:
        first = bus.publish("t", 1)
        wait_until(lambda: len(fast) == 2 and flow.counters()["slow"].queued == 1, what="the event at the fast end")
        assert stored(bus) == {"t": "start"}
        blocks.set()
        wait_until(lambda: stored(bus) == {"t": first}, what="the position")


@pytest.mark.parametrize("part", [lambda hold: batch(2), lambda hold: lookup(lambda item: hold.wait(10) and item)])
def test_a_stage_that_holds_an_item_back_holds_the_position_back(bus: notify.Bus, part: Any) -> None:
    hold = threading.Event()
    got: list[Any] = []
    with pipeline(subscribe_to(bus, "t", position="p"), contents, stage(part(hold), name="part"), got.append) as flow:
        bus.publish("t", 1)
        # The mark comes a quarter of a second later at most; the second event is behind it.
        wait_until(lambda: flow.counters()["part"].taken == 1, what="the first event")
        assert stored(bus) == {"t": "start"}
        last = bus.publish("t", 2)
        hold.set()
        wait_until(lambda: stored(bus) == {"t": last}, what="the position")
    assert got in ([[1, 2]], [1, 2])


def test_a_flow_that_fails_does_not_move_its_position_past_the_event(bus: notify.Bus) -> None:
    got: list[Any] = []

    def sink(item: int) -> None:
        if item == 3 and got.count("failed") == 0:
            got.append("failed")
            raise OSError("the disk is full")
        got.append(item)

    flow = pipeline(subscribe_to(bus, "t", position="p"), contents, sink).start()
    for number in range(1, 6):
        bus.publish("t", number)
    with pytest.raises(OSError, match="the disk is full"):
        flow.close() if flow.wait(5) else None
    with pipeline(subscribe_to(bus, "t", position="p"), contents, sink):
        wait_until(lambda: 5 in got, what="the last event")
    assert got[got.index("failed") :][-3:] == [3, 4, 5]


def test_an_outage_delays_the_position(own_server: PrivateServer) -> None:
    got: list[Any] = []
    with notify.connect(own_server.url) as bus, pipeline(subscribe_to(bus, "t", position="p"), contents, got.append):
        last = bus.publish("t", 1)
        wait_until(lambda: got == [1], what="the event")
        own_server.kill()
        own_server.restart()
        wait_until(lambda: stored(bus) == {"t": last}, timeout_s=15, what="the position")


def test_a_position_that_is_not_used_is_written_again(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position_module, "REFRESH_S", 0.05)
    with pipeline(subscribe_to(bus, "t", position="p"), discard):
        bus.redis.pexpire(bus.keys.position("p"), 10_000)
        wait_until(lambda: bus.redis.ttl(bus.keys.position("p")) > 10, what="the new lifetime")


@pytest.mark.parametrize(("value", "problem"), [("no json", "holds no position"), ("[1]", "holds no position"), (None, "WRONGTYPE")])
def test_a_spoilt_position_is_refused_with_the_key(bus: notify.Bus, value: str | None, problem: str) -> None:
    if value is None:
        bus.redis.lpush(bus.keys.position("p"), "x")
    else:
        bus.redis.set(bus.keys.position("p"), value)
    bus.redis.pexpire(bus.keys.position("p"), 60_000)
    with pytest.raises((InvalidPositionError, notify.ServerRefusedError), match=problem):
        pipeline(subscribe_to(bus, "t", position="p"), discard).start()


def test_a_backplane_has_a_position_too(bus: notify.Bus) -> None:
    got: list[Any] = []
    for number in (1, 2):
        with bus.backplane("plane") as plane:
            flow = pipeline(subscribe_to(plane, position="p"), contents, got.append).start()
            bus.publish("plane", number)
        assert flow.wait(5)
        assert flow.close()
        bus.publish("plane", number * 10)
    assert got == [1, 10, 2]
    assert set(stored(bus)) == {"plane"}


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def published(bus: notify.Bus, count: int, done: threading.Event) -> threading.Thread:
    """Publish numbers in a thread, not all at once."""

    def run() -> None:
        for number in range(count):
            bus.publish("t", number)
            done.wait(0.0005)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def check_complete(taken: list[int], count: int) -> None:
    """Check that all numbers are there, in order, and that each repetition begins anew before the end of what was taken."""
    assert list(dict.fromkeys(taken)) == list(range(count))
    assert all(later <= earlier + 1 for earlier, later in pairwise(taken))


@pytest.mark.any_server
def test_a_sink_that_is_killed_again_and_again_gets_every_event(
    server: PrivateServer, bus: notify.Bus, start: Start, tmp_path: Path
) -> None:
    path, count = tmp_path / "copied", 1_500
    process = start("flows.copier", server.url, path, "copy")
    assert process.told() == "ready"
    thread = published(bus, count, threading.Event())
    for _ in range(4):
        reached = len(lines(path)) + random.randint(50, 150)
        wait_until(lambda reached=reached: len(lines(path)) >= reached, timeout_s=15, what="more events")  # type: ignore[misc]  # a default
        process.kill()
        process = start("flows.copier", server.url, path, "copy")
        assert process.told() == "ready"
    thread.join()
    wait_until(lambda: count - 1 in lines(path)[-1:], timeout_s=15, what="the last event")
    assert process.end() == 0
    check_complete(lines(path), count)


@pytest.mark.any_server
def test_twin_a_sink_without_a_position_misses_events_when_it_is_killed(
    server: PrivateServer, bus: notify.Bus, start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "copied"
    for number in (1, 2, 3):
        bus.publish("t", number * 10)  # nobody takes this one
        process = start("flows.copier", server.url, path, "-")
        assert process.told() == "ready"
        bus.publish("t", number)
        wait_until(lambda number=number: lines(path)[-1:] == [number], what="the event")  # type: ignore[misc]  # a default
        process.kill()
    assert lines(path) == [1, 2, 3]


@pytest.mark.any_server
def test_a_relay_that_is_killed_again_and_again_publishes_every_event(server: PrivateServer, bus: notify.Bus, start: Start) -> None:
    count = 1_000
    taken: list[int] = []
    with pipeline(subscribe_to(bus, "u"), contents, taken.append):
        process = start("flows.relay", server.url)
        assert process.told() == "ready"
        thread = published(bus, count, threading.Event())
        for _ in range(3):
            reached = len(taken) + random.randint(30, 120)
            wait_until(lambda reached=reached: len(taken) >= reached, timeout_s=15, what="more events")  # type: ignore[misc]  # a default
            process.kill()
            process = start("flows.relay", server.url)
            assert process.told() == "ready"
        thread.join()
        wait_until(lambda: taken[-1:] == [count - 1], timeout_s=15, what="the last event")
        assert process.end() == 0
    check_complete(taken, count)


def test_nothing_is_taken_twice_if_the_flows_end_in_order(bus: notify.Bus) -> None:
    for number in range(200):
        bus.publish("t", number)
    got: list[Any] = []
    for reached in (20, 80, 120, 200):
        slow = stage(lambda item: time.sleep(0.0005) or item, max_items=2)  # so that each flow ends amid the events
        with pipeline(subscribe_to(bus, "t", since="start", position="p"), contents, slow, got.append):
            wait_until(lambda reached=reached: len(got) >= reached, what="events")  # type: ignore[misc]  # a default
    assert got == list(range(200))
