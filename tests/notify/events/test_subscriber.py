"""Receiving without faults: which events are delivered, in which order, how often, and how a subscription ends."""

import subprocess
import sys
import threading
import time

import pytest

import notify
from notify import ClosedError, EmptySubscriptionError, InvalidTopicError
from notify.events.positions import Positions
from notify.testing import wait_until


def test_S6_the_subscription_is_active_when_subscribe_returns(bus, another_bus, collect):
    for round_number in range(20):
        with bus.subscribe("t") as events:
            another_bus.publish("t", round_number)
            assert [event.contents for event in collect(events, 1, quiet_s=0)] == [round_number]


def test_events_published_before_the_subscription_are_not_delivered(bus, collect):
    bus.publish("t", "before")
    with bus.subscribe("t", "*") as events:
        bus.publish("t", "after")
        assert [event.contents for event in collect(events, 1)] == ["after"]


def test_L3_every_subscriber_gets_every_event_in_order_and_none_is_a_no_op(bus, another_bus, collect):
    bus.publish("t", "nobody listens")
    with bus.subscribe("t") as one, another_bus.subscribe("t", "u") as two, another_bus.subscribe("?") as three:
        for number in range(200):
            (bus if number % 2 else another_bus).publish("t", number)
        for events in (one, two, three):
            assert [event.contents for event in collect(events, 200)] == list(range(200))


def test_S8_an_event_has_its_topic_its_time_and_its_id(bus, collect):
    with bus.subscribe("lab.*") as events:
        event_id = bus.publish("lab.door", "open")
        (event,) = collect(events, 1)
    assert (event.topic, event.contents, event.source, event.id) == ("lab.door", "open", "test", event_id)


def test_an_event_that_matches_a_name_and_patterns_is_delivered_once(bus, collect):
    with bus.subscribe("lab.door", "lab.door", "lab.*", "*door", "*") as events:
        bus.publish("lab.door", 1)
        bus.publish("back-door", 2)
        bus.publish("window", 3)
        assert [(event.topic, event.contents) for event in collect(events, 3)] == [("lab.door", 1), ("back-door", 2), ("window", 3)]


def test_S5_a_star_is_all_topics(bus, collect):
    with bus.subscribe("*") as events:
        for topic in ("a", "b.c", "é\n"):
            bus.publish(topic, 1)
        assert [event.topic for event in collect(events, 3)] == ["a", "b.c", "é\n"]


@pytest.mark.parametrize("topics", [(), [], set()])
def test_S5_a_subscription_to_nothing_is_refused(bus, topics):
    with pytest.raises(EmptySubscriptionError, match=r"'\*' matches all"):
        bus.subscribe(*topics)
    with pytest.raises(EmptySubscriptionError):
        bus.subscribe(topics)
    with pytest.raises(InvalidTopicError):
        bus.subscribe(None)
    with pytest.raises(InvalidTopicError):
        bus.subscribe(None)


@pytest.mark.any_server
def test_S5_python_without_assertions_refuses_it_as_well(server):
    program = f"import notify\nwith notify.connect({server.url!r}) as bus: bus.subscribe()"
    ended = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "EmptySubscriptionError: no topic was given" in ended.stderr


@pytest.mark.parametrize("topic", [None, "", "x" * 513, 5, "\ud800"])
def test_one_bad_topic_among_good_ones_subscribes_to_none(bus, topic):
    with pytest.raises(InvalidTopicError):
        bus.subscribe("t", topic)
    assert bus.redis.pubsub_channels() == []


@pytest.mark.parametrize(("payload", "contents"), [("21.5", 21.5), ('{"a": 1}', {"a": 1}), ("warm", "warm")])
def test_what_is_published_by_hand_is_delivered_between_events_of_ours(bus, collect, payload, contents):
    with bus.subscribe("t") as events:
        bus.publish("t", "one")
        assert bus.redis.publish("notify:event:t", payload) == 1
        bus.publish("t", "two")
        one, by_hand, two = collect(events, 3)
    assert (one.contents, by_hand.contents, two.contents) == ("one", contents, "two")
    assert (by_hand.topic, by_hand.id) == ("t", None)


@pytest.mark.parametrize("topics", [("t",), ("*",), ("t", "?")])
def test_N10_a_late_subscriber_gets_the_retained_event_and_then_new_events(bus, collect, topics):
    bus.publish("t", "old", retain_s=60)
    kept = bus.publish("t", "kept", retain_s=60)
    bus.publish("t", "not kept")
    with bus.subscribe(*topics) as events:
        first = events.get(0)
        assert (first.contents, first.id, first.topic) == ("kept", kept, "t")
        bus.publish("t", "live")
        assert [event.contents for event in collect(events, 1)] == ["live"]


def test_N10_retained_events_are_kept_forever_deleted_or_expire(bus, collect):
    bus.publish("for-ever", 1, retain_s=-1)
    bus.publish("dropped", 1, retain_s=60)
    bus.publish("dropped", 2, retain_s=0)
    bus.publish("expired", 1, retain_s=0.001)
    wait_until(lambda: not bus.redis.exists(bus.keys.retained("expired")))
    with bus.subscribe("*") as events:
        assert [event.topic for event in collect(events, 1)] == ["for-ever"]
    bus.publish("for-ever", 2, retain_s=0)


@pytest.mark.parametrize("when", ["just before", "just after"])
@pytest.mark.parametrize("retained_before", [True, False])
def test_an_event_retained_during_the_subscription_is_delivered_once(bus, another_bus, collect, monkeypatch, when, retained_before):
    """The race: the event is published around the instant at which the subscriber reads its position."""
    start = Positions.start

    def start_while_publishing(positions: Positions, topics: list[str], **since: object) -> object:
        if when == "just before":
            another_bus.publish("t", "new", retain_s=60)
        retained = start(positions, topics, **since)
        if when == "just after":
            another_bus.publish("t", "new", retain_s=60)
        return retained

    if retained_before:
        bus.publish("t", "old", retain_s=60)
    monkeypatch.setattr(Positions, "start", start_while_publishing)
    expected = ["old", "new"] if retained_before and when == "just after" else ["new"]
    with bus.subscribe("t") as events:
        assert [event.contents for event in collect(events, len(expected))] == expected


def test_a_retained_event_without_limit_outlives_its_topic(bus, collect):
    bus.publish("t", "kept", retain_s=-1)
    bus.redis.delete(bus.keys.topic("t"), bus.keys.log("t"))
    with bus.subscribe("t") as events:
        assert [event.contents for event in collect(events, 1)] == ["kept"]
    bus.publish("t", "gone", retain_s=0)


def test_S7_a_timeout_of_zero_does_not_wait(bus):
    with bus.subscribe("t") as events:
        assert events.get(0) is None
        bus.publish("t", 1)
        bus.publish("t", 2)
        # The server sends events to another connection than the one that got the answer, maybe a moment later.
        assert [wait_until(lambda: events.get(0)).contents for _ in range(2)] == [1, 2]
        assert events.get(0) is None


def test_S7_a_get_returns_none_at_its_timeout(bus):
    with bus.subscribe("t") as events:
        before = time.monotonic()
        assert events.get(0.1) is None
        assert 0.1 <= time.monotonic() - before < 1


def test_S7_a_waiting_get_returns_the_next_event(bus):
    received = []
    with bus.subscribe("t") as events:
        waiting = threading.Thread(target=lambda: received.append(events.get()))
        waiting.start()
        bus.publish("t", 1)
        waiting.join(5)
        assert [event.contents for event in received] == [1]


@pytest.mark.parametrize("way", ["get", "iterate"])
def test_S7_closing_from_another_thread_ends_a_waiting_get_at_once(bus, way):
    events, ended = bus.subscribe("t"), []
    waiting = threading.Thread(target=lambda: ended.append(events.get() if way == "get" else list(events)))
    waiting.start()
    wait_until(lambda: _is_read(events))
    before = time.monotonic()
    events.close()
    waiting.join(5)
    assert ended == [None if way == "get" else []]
    assert time.monotonic() - before < 0.5


def _is_read(events: notify.Subscriber) -> bool:
    """Return whether a thread waits in `get`."""
    if events._reading.acquire(blocking=False):
        events._reading.release()
        return False
    return True


def test_a_closed_subscriber_says_so_and_can_be_closed_again(bus):
    with bus.subscribe("t") as events:
        pass
    events.close()
    with pytest.raises(ClosedError, match="subscribe again"):
        events.get(0)


def test_iterating_ends_when_the_subscriber_is_closed_in_the_loop_or_before(bus):
    with bus.subscribe("t") as events:
        bus.publish("t", 1)
        bus.publish("t", 2)
        seen = []
        for event in events:
            seen.append(event.contents)
            events.close()
    assert seen == [1]
    assert list(events) == []


def test_iterating_ends_when_another_thread_closes_just_before_the_next_get(bus, monkeypatch):
    events = bus.subscribe("t")
    get = events.get

    def close_first(timeout_s: float | None = None) -> object:
        events.close()
        return get(timeout_s)

    monkeypatch.setattr(events, "get", close_first)
    assert list(events) == []


def test_a_closed_subscriber_leaves_no_connection_behind(bus):
    with bus.subscribe("t", "*") as events:
        bus.publish("t", 1)
        assert events.get(5)
        assert any("|" in client["name"] for client in bus.redis.client_list())
    wait_until(lambda: not any("|" in client["name"] for client in bus.redis.client_list()))


def test_a_subscriber_shows_what_it_is_subscribed_to(bus):
    with bus.subscribe("b", "a", "*x") as events:
        assert repr(events) == "<Subscriber to a, b, *x>"


@pytest.mark.usefixtures("_impatient")
def test_a_subscriber_that_is_read_rarely_keeps_its_connection(bus):
    """The connection was silent for long only because it was not read: that is not an outage."""
    with bus.subscribe("t") as events:
        connection = events._pubsub._connection
        subscribed_as = [client["id"] for client in bus.redis.client_list(_type="pubsub")]
        for number in range(3):
            wait_until(lambda: time.monotonic() - events._pubsub._answered_at > 0.5)
            assert events.get(0) is None
            bus.publish("t", number)
            assert events.get(5).contents == number
        assert events._pubsub._connection is connection
        assert [client["id"] for client in bus.redis.client_list(_type="pubsub")] == subscribed_as


def test_subscribers_of_one_process_do_not_take_each_other_s_events(bus, collect):
    with bus.subscribe("t") as one, bus.subscribe("u") as two:
        bus.publish("t", 1)
        bus.publish("u", 2)
        assert [event.topic for event in collect(one, 1)] == ["t"]
        assert [event.topic for event in collect(two, 1)] == ["u"]


def test_a_namespace_with_a_hash_tag_works_for_names_and_patterns(server, bus, collect):
    with notify.connect(settings=notify.Settings(url=server.url, namespace="{lab}")) as tagged, tagged.subscribe("t", "u*") as events:
        tagged.publish("t", 1)
        tagged.publish("uu", 2)
        assert [event.topic for event in collect(events, 2)] == ["t", "uu"]


def test_S1_topics_are_given_one_by_one_or_as_a_list(bus, collect):
    with bus.subscribe(["a", "b"], "c", {"d*"}) as events:
        for topic in ("a", "b", "c", "d1"):
            bus.publish(topic, 1)
        assert [event.topic for event in collect(events, 4)] == ["a", "b", "c", "d1"]
