"""Publishing: which data are stored and for how long, what is refused, and that a refusal leaves no trace."""

import math

import pytest

import notify
from notify import ContentsError, Event, Failure, Settings, SettingsError
from notify.events.publisher import FOREVER
from notify.testing import wait_until
from tests.support.faults import commands_during, everything


def test_L2_any_number_of_publishers_share_a_topic(bus, another_bus, collect):
    publishers = [bus.register_publisher("t"), bus.register_publisher("t"), another_bus.register_publisher("t")]
    with bus.subscribe("t") as events:
        ids = [publish(number) for number, publish in enumerate(publishers)]
        received = collect(events, 3)
    assert [event.contents for event in received] == [0, 1, 2]
    assert [event.id for event in received] == ids


def test_a_publisher_of_a_closed_bus_publishes_nothing_and_opens_no_connection(server, bus):
    with notify.connect(server.url, name="closing") as closing:
        publish = closing.register_publisher("t")
        publish(1)
    with pytest.raises(notify.ClosedError, match="is closed: connect again"):
        publish(2)
    assert bus.redis.xlen(bus.keys.log("t")) == 1
    wait_until(lambda: "notify:closing" not in {client["name"] for client in bus.redis.client_list()})


def test_publishing_is_one_round_trip(bus):
    bus.publish("t", "loads the script")
    assert len(commands_during(bus.redis, lambda: bus.publish("t", 1, retain_s=60))) == 1


@pytest.mark.parametrize("contents", [0, False, {}, [], "", None])
def test_S11_false_and_empty_values_are_published_like_any_other(bus, collect, contents):
    with bus.subscribe("t") as events:
        bus.publish("t", contents)
        (event,) = collect(events, 1)
    assert repr(event.contents) == repr(contents)


@pytest.mark.parametrize("publish", ["bus", "publisher"])
@pytest.mark.parametrize("error", [ValueError("bad"), Failure("ValueError", "bad")])
def test_L7_an_error_can_be_published_as_it_is(bus, collect, publish, error):
    with bus.subscribe("t") as events:
        if publish == "bus":
            bus.publish("t", error)
        else:
            bus.register_publisher("t")(error)
        (event,) = collect(events, 1)
    assert event.contents == Failure("ValueError", "bad")


def test_a_publisher_takes_a_ready_event_of_its_topic_and_no_other(bus, collect):
    publish = bus.register_publisher("t")
    with bus.subscribe("*") as events:
        event_id = publish(Event(topic="t", contents=1, source="somebody"))
        with pytest.raises(ContentsError, match="an event on 'u' was given to the publisher of 't'"):
            publish(Event(topic="u", contents=2))
        (event,) = collect(events, 1)
    assert (event.id, event.source) == (event_id, "somebody")


def test_M13_a_payload_of_a_megabyte_arrives_whole_and_once(server, bus, collect):
    text = "é" * 500_000
    with notify.connect(settings=Settings(url=server.url, max_payload_bytes=2_000_000)) as wide, bus.subscribe("t") as events:
        wide.publish("t", text)
        (event,) = collect(events, 1)
    assert event.contents == text


@pytest.mark.parametrize("way", ["publish", "publisher", "unlogged", "background"])
def test_M13_a_payload_above_the_limit_is_refused_with_the_remedies(bus, way):
    unsent = bus.background_publisher()
    publish = {
        "publish": lambda contents: bus.publish("t", contents),
        "publisher": bus.register_publisher("t"),
        "unlogged": lambda contents: bus.publish_unlogged("t", contents),
        "background": lambda contents: unsent.put("t", contents),
    }[way]
    with pytest.raises(notify.PayloadTooLargeError, match=r"the event for 't' has \d+ bytes, the limit is 65536: send less .*MAX_PAYLOAD"):
        publish("x" * 65_536)
    unsent.close()
    assert not bus.redis.exists(bus.keys.log("t"))


@pytest.mark.parametrize(
    ("retain_s", "lifetime_ms"), [(60, (59_000, 60_000)), (0.5, (1, 500)), (0.0001, (-2, 1)), (FOREVER, (-1, -1)), (-1, (-1, -1))]
)
def test_N10_an_event_is_retained_for_the_given_time(bus, retain_s, lifetime_ms):
    bus.publish("t", 1, retain_s=retain_s)
    shortest, longest = lifetime_ms
    assert shortest <= bus.redis.pttl(bus.keys.retained("t")) <= longest
    bus.publish("t", 2, retain_s=0)


def test_N10_zero_deletes_the_retained_event_and_none_leaves_it_alone(bus):
    key = bus.keys.retained("t")
    bus.publish("t", 1, retain_s=60)
    bus.publish("t", 2)
    assert b'"contents":1' in bus.redis.get(key)
    bus.publish("t", 3, retain_s=60)
    assert b'"contents":3' in bus.redis.get(key)
    bus.publish("t", 4, retain_s=0)
    assert bus.redis.get(key) is None


def test_the_log_keeps_as_many_events_as_it_should_and_not_many_more(server, bus):
    with notify.connect(settings=Settings(url=server.url, log_length=100)) as short:
        for number in range(1000):
            short.publish("t", number)
    assert 100 <= bus.redis.xlen(bus.keys.log("t")) < 300


def test_a_log_expires_after_its_retention(server, bus):
    with notify.connect(settings=Settings(url=server.url, retention_s=30)) as brief:
        brief.publish("t", 1)
    assert 0 < bus.redis.ttl(bus.keys.log("t")) <= 30
    assert bus.redis.ttl(bus.keys.topic("t")) > 30


def test_a_log_that_was_deleted_by_hand_begins_anew_with_a_lifetime(bus):
    bus.publish("t", 1)
    bus.redis.delete(bus.keys.log("t"))
    bus.publish("t", 2)
    assert bus.redis.ttl(bus.keys.log("t")) > 0


BAD = {
    "an empty topic": lambda bus: bus.publish("", 1),
    "a pattern": lambda bus: bus.publish("a*", 1),
    "no text as topic": lambda bus: bus.publish(None, 1),
    "a topic that is too long": lambda bus: bus.publish("x" * 513, 1),
    "an empty topic to register": lambda bus: bus.register_publisher(""),
    "a pattern to register": lambda bus: bus.register_publisher("?"),
    "an object": lambda bus: bus.publish("t", {"a": object()}),
    "a lone surrogate": lambda bus: bus.publish("t", "\ud800"),
    "a payload that is too large": lambda bus: bus.publish("t", "x" * 70_000),
    **{
        f"a lifetime of {value!r}": lambda bus, value=value: bus.publish("t", 1, retain_s=value)
        for value in (-2, math.nan, math.inf, "5", 1e300, 1e12, True)
    },
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_an_invalid_event_is_refused_and_leaves_redis_unchanged(bus, call):
    bus.publish("t", 1, retain_s=60)
    before = everything(bus.redis)
    with bus.subscribe("*") as events:
        with pytest.raises((notify.EventError, SettingsError)):
            call(bus)
        events.get(0)
        assert events.get(0.05) is None
    assert everything(bus.redis) == before
    assert bus.topics() == ["t"]


def test_a_second_event_with_a_key_is_not_published_and_returns_the_first_id(bus, another_bus, collect):
    publish = bus.register_publisher("t")
    with bus.subscribe("t", "u") as events:
        first = bus.publish("t", 1, key="k")
        assert {another_bus.publish("t", 2, key="k"), publish(3, key="k")} == {first}
        other = bus.publish("t", 5, key="another")
        assert [event.id for event in collect(events, 2)] == [first, other]
    assert 0 < bus.redis.ttl(bus.keys.once("t", "k")) <= bus.settings.retention_s


def test_a_key_belongs_to_its_topic(bus, collect):
    """The number of an order may also be the key of its invoice: both events are published."""
    with bus.subscribe("orders", "invoices") as events:
        bus.publish("orders", 1, key="4711")
        bus.publish("invoices", 2, key="4711")
        assert [event.contents for event in collect(events, 2)] == [1, 2]


def test_an_empty_key_is_refused(bus):
    with pytest.raises(SettingsError, match="the idempotency key of an event on 't' is ''"):
        bus.publish("t", 1, key="")
    assert bus.topics() == []


@pytest.mark.parametrize(("key", "published"), [("k", 1), (None, 3)], ids=["with a key", "the twin without one"])
def test_publishing_again_after_a_lost_answer_is_safe_only_with_a_key(bus, proxy, collect, key, published):
    """Experiment 8: an event whose answer was lost is published again, with and without an idempotency key."""
    with notify.connect(proxy.url) as shaky, bus.subscribe("t") as events:
        proxy.lose_answers(2)
        for _ in range(2):
            with pytest.raises(notify.ServerUnreachableError):
                shaky.publish("t", 1, key=key)
        event_id = shaky.publish("t", 1, key=key)
        received = collect(events, published)
    assert (received[0].id == event_id) is (key is not None)
    assert proxy.lost == 2


class Reading(notify.Message, topic="usual"):
    celsius: float


def test_M1_a_publisher_keeps_its_topic_and_a_topic_for_one_call_lasts_one_call(bus, collect):
    publish = bus.register_publisher("usual")
    with bus.subscribe("*") as events:
        publish(1)
        publish(2, topic="once")
        publish(3)
        assert [(event.topic, event.contents) for event in collect(events, 3)] == [("usual", 1), ("once", 2), ("usual", 3)]


def test_M1_an_event_and_a_class_are_checked_with_a_topic_for_one_call_too(bus, collect):
    publish = bus.register_publisher(Reading)
    with pytest.raises(ContentsError, match="takes a Reading, not a int"):
        publish(1, topic="once")
    with pytest.raises(ContentsError, match="an event on 'other' was given to the publisher of 'once'"):
        bus.register_publisher("usual")(notify.Event(topic="other", contents=1), topic="once")
    with bus.subscribe("once") as events:
        publish(Reading(celsius=21.5), topic="once")
        bus.register_publisher("usual")(notify.Event(topic="once", contents=2), topic="once")
        assert [event.contents for event in collect(events, 2)] == [{"celsius": 21.5}, 2]


@pytest.mark.parametrize("topic", ["", "a*", 5])
def test_M1_a_topic_for_one_call_is_checked(bus, topic):
    publish = bus.register_publisher("usual")
    with pytest.raises(notify.InvalidTopicError):
        publish(1, topic=topic)


@pytest.mark.parametrize("topic", [None, 5, b"t", [5], {"t": 1}, object()])
def test_M1_a_topic_of_a_wrong_type_is_a_type_error_wherever_one_is_given(bus, topic):
    unsent = bus.background_publisher()
    for give in (
        lambda: bus.publish(topic, 1),
        lambda: bus.publish_unlogged(topic, 1),
        lambda: bus.register_publisher(topic),
        lambda: bus.subscribe("t", topic),
        lambda: bus.listen(topic, callback=print),
        lambda: unsent.put(topic, 1),
        lambda: unsent.put([topic], 1),
    ):
        with pytest.raises(TypeError, match="a topic must be text, not "):
            give()
    unsent.close()
    assert bus.topics() == []


@pytest.mark.parametrize("topic", ["", "a*", "x" * 513])
def test_M1_a_topic_that_is_text_and_cannot_be_used_is_a_value_error(bus, topic):
    with pytest.raises(ValueError, match=r"topic|pattern") as caught:
        bus.publish(topic, 1)
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize("topics", [["a", "b"], ("a", "b")])
def test_S1_an_event_is_published_on_one_topic_or_on_several(bus, collect, topics):
    with bus.subscribe("*") as events:
        ids = bus.publish(topics, 1, key="k")
        assert [(event.topic, event.contents, event.id) for event in collect(events, 2)] == [("a", 1, ids[0]), ("b", 1, ids[1])]
    assert bus.publish(topics, 3, key="k") == ids


def test_S1_an_unlogged_event_is_sent_on_several_topics(bus, collect):
    with bus.subscribe("*") as events:
        bus.publish_unlogged({"a"}, 1)
        bus.publish_unlogged(["b", "c"], 2)
        assert [(event.topic, event.contents) for event in collect(events, 3)] == [("a", 1), ("b", 2), ("c", 2)]


def test_S1_nothing_is_published_if_one_of_the_topics_is_refused(bus):
    for topics, error in ((["a", ""], notify.InvalidTopicError), (["a", "b*"], notify.InvalidTopicError), ([], notify.SubscriptionError)):
        for publish in (bus.publish, bus.publish_unlogged):
            with pytest.raises(error):
                publish(topics, 1)
    with pytest.raises(notify.PayloadTooLargeError):
        bus.publish(["a", "b"], "x" * 70_000)
    assert bus.topics() == []


@pytest.mark.parametrize("contents", [object(), ValueError, {"n": [1j]}, range(3)])
def test_M1_contents_of_a_wrong_type_are_a_type_error(bus, contents):
    for publish in (bus.register_publisher("t"), lambda contents: bus.publish("t", contents)):
        with pytest.raises(TypeError, match="the contents for 't'"):
            publish(contents)
    with pytest.raises(TypeError, match="no contents were given for 't'"):
        bus.publish("t")


def test_an_unlogged_event_reaches_present_subscribers_and_leaves_no_trace(bus, collect):
    before = everything(bus.redis)
    with bus.subscribe("t") as events:
        bus.publish_unlogged("t", {"n": 1})
        (event,) = collect(events, 1)
        assert (event.contents, event.source, event.id) == ({"n": 1}, "test", None)
    assert everything(bus.redis) == before


@pytest.mark.parametrize(
    ("topic", "contents", "error"),
    [
        ("", 1, notify.InvalidTopicError),
        ("a*", 1, notify.InvalidTopicError),
        ("t", object(), ContentsError),
        ("t", "x" * 70_000, notify.EventError),
    ],
)
def test_an_invalid_event_cannot_be_published_unlogged_either(bus, topic, contents, error):
    with bus.subscribe("*") as events:
        with pytest.raises(error):
            bus.publish_unlogged(topic, contents)
        assert events.get(0.05) is None


def test_an_event_that_may_not_be_sent_is_not_logged_either(own_server, connect_to, collect):
    """Without permission for the channel the event is not logged: the next event follows the one before it."""
    bus = connect_to(own_server)
    with bus.subscribe("t") as events:
        bus.publish("t", "before")
        bus.redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
        with pytest.raises(notify.ServerRefusedError, match="refused a command while publishing on 't'"):
            bus.publish("t", "forbidden")
        bus.redis.execute_command("ACL", "SETUSER", "default", "allchannels")
        bus.publish("t", "after")
        assert [event.contents for event in collect(events, 2)] == ["before", "after"]
    assert bus.redis.xlen(bus.keys.log("t")) == 2


def test_a_topic_is_forgotten_a_month_after_its_last_event(bus):
    month_ms = 30 * 86_400_000
    bus.publish("forgotten", 1)
    bus.publish("recent", 1)
    bus.redis.zincrby(bus.keys.topics, -month_ms - 1000, "forgotten")
    bus.redis.zincrby(bus.keys.topics, -month_ms + 60_000, "recent")
    bus.publish("new", 1)
    assert bus.topics() == ["new", "recent"]
