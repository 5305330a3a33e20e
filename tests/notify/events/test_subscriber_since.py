"""Subscriptions that begin at an earlier position, and subscriptions to message classes."""

import pytest

import notify
from notify import ContentsError, Gap, InvalidPositionError
from notify.testing import wait_until
from tests.support.faults import publish_unheard, trim


class Reading(notify.Message, topic="temperature"):
    celsius: float
    sensor: str = "outside"


def _contents(items):
    return [item.contents for item in items]


def test_since_start_gives_all_events_of_the_log_and_then_new_events(bus, collect):
    for number in range(3):
        bus.publish("t", number, retain_s=60)
    with bus.subscribe("t", since="start") as events:
        bus.publish("t", 3)
        assert _contents(collect(events, 4)) == [0, 1, 2, 3]


def test_since_start_of_a_log_that_was_trimmed_begins_with_a_gap(bus, collect):
    ids = [bus.publish("t", number) for number in range(3)]
    trim(bus, "t", keep=1)
    with bus.subscribe("t", since="start") as events:
        gap, event = collect(events, 2)
    assert (gap.reason, gap.last, event.contents) == ("trimmed", ids[1], 2)


def test_since_start_does_not_wait_for_new_events(bus):
    bus.publish("t", 1)
    with bus.subscribe("t", since="start") as events:
        assert events.get(0).contents == 1
        assert events.get(0) is None


def test_since_start_of_a_topic_without_a_log_gives_new_events(bus, collect):
    with bus.subscribe("t", since="start") as events:
        assert events.get(0) is None
        bus.publish("t", 1)
        assert _contents(collect(events, 1)) == [1]


def test_since_an_id_gives_the_events_after_it(bus, collect):
    ids = [bus.publish("t", number) for number in range(4)]
    with bus.subscribe("t", since=ids[1]) as events:
        assert _contents(collect(events, 2)) == [2, 3]
    with bus.subscribe("t", since=ids[3]) as events:
        bus.publish("t", 4)
        assert _contents(collect(events, 1)) == [4]


def test_since_a_mapping_begins_at_an_id_per_topic_and_elsewhere_now(bus, collect):
    ids = {topic: [bus.publish(topic, f"{topic}{number}") for number in range(3)] for topic in "abc"}
    with bus.subscribe("a", "b", "c", since={"a": ids["a"][0], "b": "start", "elsewhere": ids["c"][0]}) as events:
        assert sorted(_contents(collect(events, 5))) == ["a1", "a2", "b0", "b1", "b2"]


def test_since_reads_more_than_a_page_also_through_patterns(bus, collect):
    for number in range(1200):
        bus.publish(f"lab.{number % 2}", number)
    with bus.subscribe("lab.*", since="start") as events:
        assert sorted(_contents(collect(events, 1200))) == list(range(1200))


def test_stored_positions_continue_where_the_subscriber_ended(bus, collect):
    with bus.subscribe("t", "u") as events:
        bus.publish("t", 1)
        bus.publish("t", 2)
        bus.publish("u", 3)
        assert events.get(1).contents == 1  # the others are received and not taken
        positions = events.positions
    bus.publish("t", 4)
    with bus.subscribe("t", "u", since=positions) as events:
        assert sorted(_contents(collect(events, 3))) == [2, 3, 4]


def test_the_positions_of_a_subscriber_without_events_continue_there_too(bus, collect):
    bus.publish("old", "before")
    with bus.subscribe("old", "new", "lab.*") as events:
        positions = events.positions
    assert positions["new"] == positions["lab.*"] == "start"
    for topic in ("old", "new", "lab.born"):
        bus.publish(topic, topic)
    with bus.subscribe("old", "new", "lab.*", since=positions) as events:
        assert sorted(_contents(collect(events, 3))) == ["lab.born", "new", "old"]


def test_a_retained_event_does_not_set_the_position_back(bus, collect):
    bus.publish("t", 1, retain_s=60)
    bus.publish("t", 2)
    with bus.subscribe("t") as events:
        assert _contents(collect(events, 1)) == [1]
        positions = events.positions
    with bus.subscribe("t", since=positions) as events:
        assert collect(events, 0) == []


@pytest.mark.parametrize("topics", [["t"], ["t.*"]])
def test_a_killed_subscriber_continues_and_gets_every_event_at_least_once(bus, server, start, tmp_path, topics):
    topic = topics[0].replace("*", "born")
    first = start("reader", server.url, tmp_path / "positions", *topics)
    assert first.told() == "ready"
    for number in range(100):
        bus.publish(topic, number)
    got = [first.told() for _ in range(30)]
    first.kill()
    got += first.rest()
    for number in range(100, 150):
        bus.publish(topic, number)
    second = start("reader", server.url, tmp_path / "positions", *topics)
    assert second.told() == "ready"
    again = [second.told()]
    while again[-1] != 149:
        again.append(second.told())
    assert again == list(range(again[0], 150))
    assert got == list(range(len(got)))
    assert again[0] in (len(got) - 1, len(got))  # the last one is repeated if the kill came before its position was stored


def test_a_subscriber_killed_before_the_first_event_misses_nothing(bus, server, start, tmp_path):
    for attempt in range(2):
        process = start("reader", server.url, tmp_path / "positions", "t", "lab.*")
        assert process.told() == "ready"
        if attempt == 0:
            process.kill()
            bus.publish("t", 1)
            bus.publish("lab.born", 2)
    assert {process.told(), process.told()} == {1, 2}


def test_since_an_id_of_another_epoch_gives_one_gap_and_then_the_log(bus, collect):
    before = bus.publish("t", "before")
    bus.redis.flushall()
    bus.publish("t", 1)
    bus.publish("t", 2)
    with bus.subscribe("t", since=before) as events:
        gap, *rest = collect(events, 3)
        assert gap == Gap("t", "epoch", before, None)
        assert _contents(rest) == [1, 2]
    with bus.subscribe("t", since=before) as events:
        assert events.get(1) == gap
        positions = events.positions
    with bus.subscribe("t", since=positions) as events:
        assert _contents(collect(events, 2)) == [1, 2]  # the gap is not delivered again


def test_the_promotion_of_a_lagging_replica_gives_a_rollback_gap(bus, collect):
    """Experiment 11, simulated on one server: the log and its head are set back by some events."""
    with bus.subscribe("t") as events:
        kept = bus.publish("t", "kept")
        lost = [bus.publish("t", number) for number in range(3)]
        collect(events, 4)
        for event_id in lost:
            bus.redis.xdel(bus.keys.log("t"), event_id.partition("@")[0])
        bus.redis.hset(bus.keys.topic("t"), "last", kept.partition("@")[0])
        bus.publish("t", "after")
        gap, after = collect(events, 2)
        positions = events.positions
    assert gap == Gap("t", "rollback", first=kept, last=lost[-1])
    assert after.contents == "after"
    with bus.subscribe("t", since=positions) as events:
        assert collect(events, 0) == []


@pytest.mark.parametrize("since", ["", "yesterday", "5", "5-0", "5-0@", "@1", 5, b"start", {"t": "yesterday"}, {"t": None}])
def test_an_invalid_position_is_refused(bus, since):
    with pytest.raises(InvalidPositionError, match=r"since is .*: give the id of an event"):
        bus.subscribe("t", since=since)
    assert bus.redis.pubsub_channels() == []


@pytest.mark.parametrize("topics", [("t", "u"), ("t*",)])
def test_one_id_for_several_topics_is_refused(bus, topics):
    event_id = bus.publish("t", 1)
    with pytest.raises(InvalidPositionError, match="give a mapping"):
        bus.subscribe(*topics, since=event_id)


def test_M5_a_subscription_to_a_class_gives_instances(bus, collect):
    with bus.subscribe(Reading, "other") as events:
        bus.publish(Reading(celsius=21.5))
        bus.publish("temperature", {"celsius": 3, "sensor": "roof", "unit": "C"})
        bus.publish("other", {"celsius": 4})
        first, second, other = collect(events, 3)
    assert first.contents == Reading(celsius=21.5)
    assert second.contents == Reading(celsius=3, sensor="roof", extras={"unit": "C"})
    assert other.contents == {"celsius": 4}
    assert first.id is not None
    assert first.source == "test"


def test_M5_contents_that_do_not_fit_the_class_are_skipped_counted_and_logged_once(bus, collect, caplog):
    with bus.subscribe(Reading) as events:
        for contents in ({"celsius": "warm"}, {"sensor": "roof"}, 21.5, ValueError("broken")):
            bus.publish("temperature", contents)
        last = bus.publish(Reading(celsius=1))
        assert _contents(collect(events, 1)) == [Reading(celsius=1)]
        assert events.skipped == 4
        assert events.positions == {"temperature": last}
    assert caplog.text.count("on its topic are not logged): the contents are not a Reading: ") == 1


@pytest.mark.parametrize("topic", ["t", Reading])
def test_M5_payloads_that_are_not_text_are_skipped_counted_and_logged_once(bus, collect, caplog, topic):
    name = topic if isinstance(topic, str) else topic.topic
    with bus.subscribe(topic) as events:
        for _ in range(3):
            bus.redis.publish(bus.keys.channel(name), b"\xff\xfe")
        bus.publish(name, {"celsius": 1})
        assert len(collect(events, 1)) == 1
        assert events.skipped == 3
    assert caplog.text.count("on its topic are not logged): a message on the channel of") == 1


def test_M5_a_get_that_skips_all_it_finds_keeps_to_its_timeout(bus):
    with bus.subscribe(Reading) as events:
        bus.publish("temperature", "warm")
        assert events.get(0.1) is None
        assert events.skipped == 1


def test_M5_a_gap_in_the_topic_of_a_class_is_delivered_as_a_gap(bus, collect):
    with bus.subscribe(Reading) as events:
        bus.publish(Reading(celsius=1))
        collect(events, 1)
        publish_unheard(bus, "temperature", 2)
        trim(bus, "temperature", keep=0)
        bus.publish(Reading(celsius=3))
        gap, event = collect(events, 2)
    assert isinstance(gap, Gap)
    assert event.contents == Reading(celsius=3)


def test_positions_can_be_stored_at_every_step(bus, collect):
    with bus.subscribe("t") as events:
        assert events.positions == {"t": "start"}
        for number in range(3):
            event_id = bus.publish("t", number)
            wait_until(lambda: events.get(1))
            assert events.positions == {"t": event_id}


def test_a_class_without_a_topic_cannot_be_subscribed_to(bus):
    class Nowhere(notify.Message):
        n: int

    for use in (bus.subscribe, bus.register_publisher):
        with pytest.raises(ContentsError, match="not a message class with a topic"):
            use(Nowhere)
