"""Typed messages: required fields, extras, and the registry of a bus."""

from datetime import UTC, datetime, timedelta

import pytest

import notify
from notify import ContentsError, DuplicateMessageError, Messages, UnknownMessageError


class Reading(notify.Message, topic="temperature"):
    celsius: float
    sensor: str = "outside"
    taken: datetime | None = None


class Door(notify.Message, topic="door"):
    is_open: bool


class Window(notify.Message, topic="window"):
    is_open: bool


def test_M4_required_fields_must_be_given_and_optional_ones_have_a_default():
    assert Reading(celsius=21.5).sensor == "outside"
    with pytest.raises(TypeError, match="celsius"):
        Reading()
    with pytest.raises(TypeError, match="colour"):
        Reading(celsius=1, colour="red")


def test_M4_a_message_is_frozen_and_knows_its_topic():
    reading = Reading(celsius=21.5)
    assert (reading.topic, Reading.topic) == ("temperature", "temperature")
    with pytest.raises(AttributeError):
        reading.celsius = 3


@pytest.mark.parametrize("topic", ["", "a*", "x" * 513])
def test_M4_a_class_needs_a_topic_that_can_be_published_on(topic):
    with pytest.raises(notify.InvalidTopicError):
        type("Bad", (notify.Message,), {}, topic=topic)


def test_M4_extras_are_kept_and_sent_again():
    contents = {"celsius": 21.5, "sensor": "roof", "taken": None, "unit": "C", "extras": {"n": 1}}
    reading = Reading.from_contents(contents)
    assert reading.extras == {"unit": "C", "extras": {"n": 1}}
    assert reading.to_contents() == contents


def test_M4_two_messages_do_not_share_their_extras():
    one, other = Door(is_open=True), Door(is_open=True)
    one.extras["n"] = 1
    assert other.extras == {}


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ({"celsius": "warm"}, r"not a Reading: Expected `float`, got `str` - at `\$.celsius`"),
        ({}, "not a Reading: .*missing required field `celsius`"),
        (21.5, "the contents of a Reading must be a JSON object, not 21.5"),
        (None, "the contents of a Reading must be a JSON object"),
    ],
)
def test_M4_contents_that_do_not_fit_say_where(contents, problem):
    with pytest.raises(ContentsError, match=problem):
        Reading.from_contents(contents)


def test_M4_a_message_travels_whole_and_its_timestamp_survives(bus, collect):
    taken = datetime(2026, 11, 21, 7, 0, 0, 123456, UTC)
    before = datetime.now(UTC)
    with bus.subscribe(Reading) as events:
        bus.publish(Reading(celsius=21.5, taken=taken, extras={"unit": "C"}))
        (event,) = collect(events, 1)
    assert event.contents == Reading(celsius=21.5, taken=taken, extras={"unit": "C"})
    assert before <= event.time <= datetime.now(UTC) < event.time + timedelta(seconds=10)


def test_M4_a_message_is_plain_json_for_those_who_do_not_know_its_class(bus, collect):
    with bus.subscribe("temperature") as events:
        bus.publish(Reading(celsius=21.5, extras={"unit": "C"}))
        (event,) = collect(events, 1)
    assert event.contents == {"celsius": 21.5, "sensor": "outside", "taken": None, "unit": "C"}


@pytest.mark.parametrize(
    ("options", "contents"),
    [
        ({"rename": "camel"}, {"sensorName": "roof", "n": 3}),
        ({"rename": "upper"}, {"SENSOR_NAME": "roof", "N": 3}),
        ({"rename": {"sensor_name": "s"}}, {"s": "roof", "n": 3}),
        ({"tag": "reading"}, {"type": "reading", "sensor_name": "roof", "n": 3}),
        ({"omit_defaults": True}, {"sensor_name": "roof"}),
        ({"forbid_unknown_fields": True}, {"sensor_name": "roof", "n": 3}),
    ],
)
def test_M4_a_class_with_options_of_a_struct_travels_whole(bus, collect, options, contents):
    fields = {"__annotations__": {"sensor_name": str, "n": int}, "n": 3}
    cls = type("Sensor", (notify.Message,), fields, topic="sensors", **options)
    with bus.subscribe("sensors") as plain, bus.subscribe(cls) as typed:
        bus.publish(cls(sensor_name="roof"))
        assert collect(plain, 1)[0].contents == contents
        assert collect(typed, 1)[0].contents == cls(sensor_name="roof")
    more = cls.from_contents({**contents, "more": 1, "extras": 2})
    assert more == cls(sensor_name="roof", extras={"more": 1, "extras": 2})
    assert more.to_contents() == {**contents, "more": 1, "extras": 2}


def test_M4_a_class_whose_contents_would_be_no_object_is_refused():
    with pytest.raises(ContentsError, match="'Row' cannot be array_like"):
        type("Row", (notify.Message,), {}, topic="rows", array_like=True)


@pytest.mark.parametrize("other", [Door(is_open=True), {"celsius": 1}, 21.5, None, ValueError("bad")])
def test_M4_a_publisher_of_a_class_takes_no_other_and_names_it(bus, other):
    publish = bus.register_publisher(Reading)
    with pytest.raises(TypeError, match="the publisher of 'temperature' takes a Reading, not a "):
        publish(other)
    assert bus.redis.xlen(bus.keys.log("temperature")) == 0
    publish(Reading(celsius=1))
    assert bus.redis.xlen(bus.keys.log("temperature")) == 1


@pytest.mark.parametrize("publish", ["bus", "publisher"])
def test_M4_a_field_of_the_wrong_type_is_not_published(bus, publish):
    call = bus.publish if publish == "bus" else bus.register_publisher(Reading)
    with pytest.raises(ContentsError, match="not a Reading"):
        call(Reading(celsius="warm"))
    assert bus.redis.xlen(bus.keys.log("temperature")) == 0


def test_M4_the_registry_adds_gets_and_removes():
    messages = Messages()
    assert messages.add(Reading) is Reading
    messages.add(Reading)  # once more is the same class
    messages.add(Door)
    assert messages.get("Reading") is Reading
    assert list(messages) == [Door, Reading]
    assert (len(messages), Reading in messages, Window in messages) == (2, True, False)
    messages.remove("Reading")
    assert messages.names() == ["Door"]


@pytest.mark.parametrize("call", ["get", "remove"])
def test_M4_the_error_about_an_unknown_class_names_it(call):
    messages = Messages()
    with pytest.raises(UnknownMessageError, match="no message class is named 'Reading'; registered are none"):
        getattr(messages, call)("Reading")
    messages.add(Door)
    with pytest.raises(LookupError, match="registered are Door"):
        getattr(messages, call)("Reading")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, ["Door", "Reading", "Window"]),
        ({"include": frozenset({"Door", "Lamp"})}, ["Door"]),
        ({"include": frozenset()}, []),
        ({"exclude": frozenset({"Door"})}, ["Reading", "Window"]),
        ({"include": frozenset({"Door", "Window"}), "exclude": frozenset({"Window"})}, ["Door"]),
    ],
)
def test_M4_names_are_listed_sorted_included_and_excluded(chosen, names):
    messages = Messages()
    for cls in (Window, Reading, Door):
        messages.add(cls)
    assert messages.names(**chosen) == names


def test_M4_a_second_class_with_the_same_name_is_refused(bus):
    """Both by the registry and when a message of the class is published."""
    bus.messages.add(Reading)
    other = type("Reading", (notify.Message,), {"__annotations__": {"n": int}}, topic="other")
    with pytest.raises(DuplicateMessageError, match="'Reading' is registered already"):
        bus.messages.add(other)
    with pytest.raises(DuplicateMessageError):
        bus.publish(other(n=1))
    assert bus.topics() == []


def test_M4_each_bus_has_its_own_registry_and_knows_what_it_published(bus, another_bus):
    bus.publish(Reading(celsius=1))
    assert bus.messages.names() == ["Reading"]
    assert another_bus.messages.names() == []


@pytest.mark.parametrize("cls", [notify.Message, dict, None, Reading(celsius=1)])
def test_M4_a_class_without_a_topic_is_refused(cls):
    with pytest.raises(ContentsError, match=r"derive it as class Reading\(notify.Message"):
        Messages().add(cls)


def test_two_classes_of_one_topic_cannot_be_subscribed_to_together(bus):
    class Warm(notify.Message, topic="temperature"):
        celsius: float

    class Cold(notify.Message, topic="temperature"):
        celsius: float

    with pytest.raises(notify.ContentsError, match="Warm and Cold are both messages of 'temperature'"):
        bus.subscribe(Warm, Cold)
    with bus.subscribe(Warm, Warm, "temperature") as events:
        bus.publish(Warm(celsius=30.0))
        assert events.get(5).contents == Warm(celsius=30.0)
