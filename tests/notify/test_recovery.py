"""Receiving while things break: nothing is lost, nothing comes twice, and what is gone for good is said aloud.

Each fault has a bound; the ones that plain pub/sub does not survive have a twin that shows it.
"""

import logging
import threading
import time
from collections.abc import Callable

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

import notify
from notify import Event, Gap, subscriber
from notify.scripts import Scripts
from notify.testing import wait_until
from tests.faults import commands_during, cut, publish_unheard, trim

EVENTS, CUTS = 3000, 40


def _publish_and_cut(bus: notify.Bus, reader: str) -> None:
    """Publish many events, and cut the reader's connection again and again in between."""
    for number in range(EVENTS):
        bus.publish("t", number)
        if number % (EVENTS // CUTS) == 0:
            wait_until(lambda: cut(bus.redis, reader), what="a connection to cut")


def _in_thread(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def test_N6_a_subscriber_cut_off_40_times_gets_all_of_3000_events_once_and_in_order(bus, another_bus, collect):
    with another_bus.subscribe("t") as events:
        publishing = _in_thread(_publish_and_cut, bus, "another")
        received = collect(events, EVENTS, timeout_s=10)
        publishing.join()
    assert [event.contents for event in received] == list(range(EVENTS))


def test_the_twin_plain_redis_py_loses_events_in_the_same_run(bus, server):
    received = []
    with redis.Redis.from_url(server.url, client_name="notify:plain") as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("notify:event:t")
        publishing = _in_thread(_publish_and_cut, bus, "plain")
        while publishing.is_alive():
            try:
                message = pubsub.get_message(timeout=0.1)
            except redis.ConnectionError:
                continue
            received += [message] if message else []
        publishing.join()
    assert 0 < len(received) < EVENTS


def test_a_connection_that_redis_py_mends_without_an_error_is_repaired_at_once(bus, collect):
    with bus.subscribe("t", "u*") as events:
        events._reception._connection.disconnect()
        bus.publish("t", 1)
        bus.publish("u1", 2)
        assert [event.contents for event in collect(events, 2, timeout_s=2)] == [1, 2]


def test_a_repair_that_failed_is_made_up_for_at_once(bus, collect, monkeypatch):
    """The message that showed what is missing is gone by then; no other may ever come."""
    catch_up = Scripts.catch_up

    def fail_once(*_: object, **__: object) -> object:
        monkeypatch.setattr(Scripts, "catch_up", catch_up)
        raise notify.ServerUnreachableError("no answer")

    with bus.subscribe("t") as events:
        publish_unheard(bus, "t", "lost")
        monkeypatch.setattr(Scripts, "catch_up", fail_once)
        bus.publish("t", "heard")
        assert [event.contents for event in collect(events, 2, timeout_s=2)] == ["lost", "heard"]


def test_one_who_reads_slower_than_the_server_s_buffer_allows_still_gets_everything(own_server, connect_to, collect):
    bus = connect_to(own_server)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 200kb 0 0")
    with bus.subscribe("t") as events:
        for number in range(3000):
            bus.publish("t", [number, "x" * 1000])
        assert not bus.redis.client_list(_type="pubsub")  # the server had enough of us
        assert [event.contents[0] for event in collect(events, 3000)] == list(range(3000))


@pytest.mark.usefixtures("_impatient")
def test_a_last_event_that_was_lost_comes_after_a_silence(bus, collect):
    with bus.subscribe("t") as events:
        bus.publish("t", "heard")
        publish_unheard(bus, "t", "unheard")
        assert [event.contents for event in collect(events, 2)] == ["heard", "unheard"]


@pytest.mark.usefixtures("_impatient")
def test_a_last_event_that_was_lost_comes_also_while_another_topic_is_busy(bus, another_bus):
    with bus.subscribe("quiet", "busy") as events:
        publish_unheard(bus, "quiet", "unheard")
        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.wait(0.005):
                another_bus.publish("busy", 1)

        publishing = _in_thread(keep_busy)
        try:
            assert wait_until(lambda: events.get(1).contents == "unheard")
        finally:
            stop.set()
            publishing.join()


@pytest.mark.usefixtures("_impatient")
def test_a_topic_that_was_born_while_a_pattern_was_cut_off_is_repaired_as_well(bus, collect):
    with bus.subscribe("lab.*") as events:
        publish_unheard(bus, "lab.new", 1)
        publish_unheard(bus, "elsewhere", 2)
        publish_unheard(bus, "lab.new", 3)
        assert [(event.topic, event.contents) for event in collect(events, 2)] == [("lab.new", 1), ("lab.new", 3)]


@pytest.mark.usefixtures("_impatient")
def test_a_repair_brings_only_what_the_subscription_is_for(bus, collect):
    """For the server "é" is two characters: what a pattern does not bring live, a repair must not bring either."""
    with bus.subscribe("?") as events:
        bus.publish("é", "not matched")
        bus.publish("e", "matched")
        assert [event.topic for event in collect(events, 1, quiet_s=0.5)] == ["e"]
    with bus.subscribe("??") as events:
        publish_unheard(bus, "é", "matched")
        assert [event.topic for event in collect(events, 1, quiet_s=0.5)] == ["é"]


def test_away_for_longer_than_the_log_reaches_is_exactly_one_gap_with_the_right_range(bus, collect):
    with bus.subscribe("t") as events:
        seen = bus.publish("t", "seen")
        assert collect(events, 1)[0].id == seen
        missing = [publish_unheard(bus, "t", number) for number in range(10)]
        publish_unheard(bus, "t", "kept")
        trim(bus, "t", keep=1)
        bus.publish("t", "live")
        gap, kept, live = collect(events, 3)
    assert gap == Gap("t", "trimmed", first=seen, last=missing[-1])
    assert (kept.contents, live.contents) == ("kept", "live")


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("noticed", ["by the next event", "after a silence"])
def test_a_server_that_lost_its_data_is_one_gap_and_then_all_is_live_again(bus, collect, noticed):
    with bus.subscribe("t") as events:
        seen = bus.publish("t", "seen")
        collect(events, 1)
        bus.redis.flushall()
        if noticed == "after a silence":
            assert collect(events, 1) == [Gap("t", "epoch", seen, None)]
            bus.publish("t", "new")
            assert [event.contents for event in collect(events, 1)] == ["new"]
        else:
            bus.publish("t", "new")
            gap, event = collect(events, 2)
            assert (gap, event.contents) == (Gap("t", "epoch", seen, None), "new")
        bus.publish("t", "live")
        assert [event.contents for event in collect(events, 1)] == ["live"]


@pytest.mark.usefixtures("_impatient")
def test_a_frozen_server_is_noticed_and_nothing_is_lost_when_it_goes_on(own_server, connect_to, collect, caplog, monkeypatch):
    monkeypatch.setattr(subscriber, "REPAIR_AFTER_S", 3600.0)
    bus = connect_to(own_server, command_timeout_s=0.2)
    with bus.subscribe("t") as events:
        bus.publish("t", 1)
        collect(events, 1)
        own_server.freeze()
        frozen_at = time.monotonic()
        while "lost its connection" not in caplog.text:
            assert events.get(0.05) is None
            assert time.monotonic() - frozen_at < 3
        own_server.thaw()
        bus.publish("t", 2)
        assert [event.contents for event in collect(events, 1)] == [2]


def test_N6_a_server_that_was_killed_and_restarted_goes_on_where_it_was(own_server, connect_to, collect):
    bus = connect_to(own_server)
    with bus.subscribe("t", "u*") as events:
        bus.publish("t", 1)
        bus.publish("u1", 1)
        collect(events, 2)
        own_server.kill()
        assert events.get(0.2) is None
        own_server.restart()
        bus.publish("t", 2)
        bus.publish("u1", 2)
        bus.publish("u2", 1)
        received = collect(events, 3, timeout_s=10)
    assert sorted((event.topic, event.contents) for event in received) == [("t", 2), ("u1", 2), ("u2", 1)]


def test_an_outage_is_logged_once_with_its_end_and_without_the_password(own_server, connect_to, collect, caplog):
    caplog.set_level(logging.INFO)
    with notify.connect(own_server.url.replace("unix://", "unix://default:hush@")) as bus, bus.subscribe("t") as events:
        own_server.kill()
        for _ in range(10):
            assert events.get(0.02) is None
        own_server.restart()
        bus.publish("t", 1)
        collect(events, 1, timeout_s=10)
    lines = [record.getMessage() for record in caplog.records if record.name == "notify.reception"]
    assert lines[0].startswith("<Subscriber to t> lost its connection")
    assert sum("lost its connection to unix://***@" in line for line in lines) == 1
    assert sum("is connected again" in line for line in lines) == 1
    assert "hush" not in caplog.text


def test_M10_a_get_with_a_timeout_keeps_to_it_while_the_server_is_away(own_server, connect_to):
    bus = connect_to(own_server)
    with bus.subscribe("t") as events:
        own_server.kill()
        wait_until(lambda: events.get(0) is None and events._reception._outage_since is not None)
        events._reception._outage_since -= 60  # as if it had been away for a minute
        for timeout_s in (0, 0.1, 0.3):
            before = time.monotonic()
            assert events.get(timeout_s) is None
            assert time.monotonic() - before < timeout_s + 0.5


def test_a_subscriber_of_many_topics_repairs_each_once_after_a_cut(bus, another_bus, collect):
    topics = [f"t{number}" for number in range(50)]
    with another_bus.subscribe(*topics) as events:
        bus.publish("t7", "loads the scripts")
        collect(events, 1)

        def lose_and_find() -> None:
            cut(bus.redis, "another")
            publish_unheard(bus, "t49", "last")
            assert [event.contents for event in collect(events, 1, quiet_s=0.2)] == ["last"]

        looks = [command for command in commands_during(bus.redis, lose_and_find) if "EVALSHA" in command]
    assert len(looks) <= 50 + 5


STEPS = st.lists(
    st.one_of(
        st.just(("publish", 1)),
        st.tuples(st.just("publish unheard"), st.integers(1, 4)),
        st.just(("cut", 0)),
        st.tuples(st.just("trim"), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(1, 5)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(STEPS, st.booleans())
def test_whatever_happens_the_sequence_is_whole_or_a_gap_covers_exactly_what_is_missing(bus, another_bus, steps, had_events):
    bus.redis.flushall()
    if had_events:
        bus.publish("t", "before")
    published: list[str] = []
    forgotten: set[str] = set()
    items: list[Event | Gap] = []
    with another_bus.subscribe("t") as events:
        for step, amount in [*steps, ("publish", 1)]:
            if step == "publish":
                published.append(bus.publish("t", 0))
            elif step == "publish unheard":
                published += [publish_unheard(bus, "t", 0) for _ in range(amount)]
            elif step == "cut":
                cut(bus.redis, "another")
            elif step == "trim":
                trim(bus, "t", keep=amount)
                forgotten |= set(published[: len(published) - amount])
            else:
                items += [item for item in (events.get(0) for _ in range(amount)) if item is not None]
        while not (items and isinstance(items[-1], Event) and items[-1].id == published[-1]):
            item = events.get(5)
            assert item is not None, f"the end never came: {items}"
            items.append(item)
        assert events.get(0) is None
    _check_whole(items, published, forgotten)


def _check_whole(items: list[Event | Gap], published: list[str], forgotten: set[str]) -> None:
    at = 0  # how many of them are accounted for
    for item in items:
        if isinstance(item, Event):
            assert item.id == published[at]
            at += 1
        else:
            assert item.reason == "trimmed"
            assert at == 0 or item.first == published[at - 1]
            end = published.index(item.last) + 1
            assert end > at
            assert forgotten.issuperset(published[at:end])
            at = end
    assert at == len(published)
