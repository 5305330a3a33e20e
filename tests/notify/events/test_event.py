"""Events: their text, their JSON form, and other messages on the channel of a topic."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import ContentsError, Event, Failure, PayloadTooLargeError
from notify.events.event import decode, encode
from tests.notify.values.test_encoder import text, values

pytestmark = pytest.mark.any_server


NOON = datetime(2017, 11, 7, 13, 8, 21, tzinfo=UTC)


def test_L7_an_event_has_a_topic_contents_and_a_time_that_is_now_in_utc_by_default():
    before = datetime.now(UTC)
    event = Event(topic="temperature", contents=21)
    assert (event.topic, event.contents) == ("temperature", 21)
    assert before <= event.time <= datetime.now(UTC)
    assert event.time.utcoffset() == timedelta(0)


def test_L7_a_time_without_a_zone_is_refused():
    with pytest.raises(ContentsError, match="has no time zone"):
        Event(topic="t", contents=1, time=datetime(2017, 11, 7))


@given(values, st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])), st.none() | text)
def test_L7_an_event_arrives_as_it_was_sent_to_the_microsecond(contents, time, source):
    event = Event(topic="t", contents=contents, time=time, source=source)
    arrived, _ = decode("t", encode(event, max_bytes=10_000_000))
    assert (arrived.topic, arrived.source, arrived.time) == ("t", source, time)
    assert repr(arrived.contents) == repr(contents)


@pytest.mark.parametrize("fatal", [False, True])
def test_L7_an_error_travels_as_its_type_and_its_message(fatal):
    failure = Failure.of(KeyError("temperatures"), fatal=fatal)
    arrived, _ = decode("t", encode(Event(topic="t", contents=failure), max_bytes=1000))
    assert arrived.contents == Failure("KeyError", "'temperatures'", fatal)
    assert str(arrived.contents) == "'temperatures'"


def test_an_error_whose_message_is_not_utf_8_can_be_published():
    failure = Failure.of(FileNotFoundError("name \udcff"))
    arrived, _ = decode("t", encode(Event(topic="t", contents=failure), max_bytes=1000))
    assert arrived.contents == Failure("FileNotFoundError", r"name \udcff")


@pytest.mark.parametrize("event", [Event(topic="t", contents=1, source="\ud800"), Event(topic="t", contents=Failure("E", "\ud800"))])
def test_no_part_of_an_event_can_contain_lone_surrogates(event):
    with pytest.raises(ContentsError, match="'t'"):
        encode(event, max_bytes=1000)


@pytest.mark.parametrize(
    ("contents", "written"),
    [
        ("the temperature is 21°C", "the temperature is 21°C"),
        ({"a": [1, None, True, "é"]}, '{"a": [1, null, true, "é"]}'),
        (21.5, "21.5"),
        (None, "null"),
        (Failure("StorageKilledError", "storage killed"), "storage killed"),
    ],
)
def test_L8_the_text_of_an_event_is_exactly_that_of_the_source(contents, written):
    event = Event(topic="storage_status", contents=contents, time=NOON)
    assert str(event) == f"New event\nTopic: storage_status\nTime: Tue Nov  7 13:08:21 2017\n{written}"


def test_L8_the_text_shows_the_time_in_utc():
    there = NOON.astimezone(timezone(timedelta(hours=9)))
    assert "\nTime: Tue Nov  7 13:08:21 2017\n" in str(Event(topic="t", contents=1, time=there))


def test_an_event_on_the_wire_is_one_json_object_that_people_can_read():
    body = encode(Event(topic="t", contents={"n": 1}, time=NOON, source="me"), max_bytes=1000)
    assert json.loads(body) == {"topic": "t", "time": "2017-11-07T13:08:21Z", "source": "me", "contents": {"n": 1}}


def test_a_stamped_event_has_its_id_and_that_of_the_event_before():
    body = encode(Event(topic="t", contents=1, time=NOON), max_bytes=1000)
    event, prev = decode("t", b'{"id":"5-0@e","prev":"4-0",' + body[1:])
    assert (event.id, prev) == ("5-0@e", "4-0")


def test_an_event_above_the_limit_is_refused_with_the_remedies():
    event = Event(topic="t", contents="x" * 1000)
    assert len(encode(event, max_bytes=2000)) > 1000
    with pytest.raises(PayloadTooLargeError, match="NOTIFY_MAX_PAYLOAD_BYTES"):
        encode(event, max_bytes=1000)


def test_contents_that_json_cannot_represent_are_refused_with_their_path():
    with pytest.raises(ContentsError, match=r"'t'.*readings\[1\]"):
        encode(Event(topic="t", contents={"readings": [1, range(2)]}), max_bytes=1000)


PLAIN = [
    (b"21.5", 21.5),
    (b'{"celsius": 21}', {"celsius": 21}),
    (b"null", None),
    (b'"quoted"', "quoted"),
    (b"just text", "just text"),
    ("21 °C".encode(), "21 °C"),
    (b"", ""),
    (b'{"a":1e999}', '{"a":1e999}'),
    (b"[" * 100_000, "[" * 100_000),
    (b'{"topic":"t","time":"2026-01-01T00:00:00Z"}', {"topic": "t", "time": "2026-01-01T00:00:00Z"}),
    (b'{"topic":"t","time":"2026-01-01T00:00:00","contents":1}', {"topic": "t", "time": "2026-01-01T00:00:00", "contents": 1}),
    (b'{"topic":"t","time":"soon","contents":1}', {"topic": "t", "time": "soon", "contents": 1}),
]


@pytest.mark.parametrize(("payload", "contents"), PLAIN, ids=[repr(payload[:20]) for payload, _ in PLAIN])
def test_whatever_is_published_by_hand_is_an_event_without_a_stamp(payload, contents):
    event, prev = decode("t", payload)
    assert (event.topic, event.contents, event.id, prev) == ("t", contents, None, None)


@given(st.text(max_size=60))
def test_no_text_whatsoever_is_an_error(payload):
    event, _ = decode("t", payload.encode())
    assert isinstance(str(event), str)


@pytest.mark.parametrize("payload", [b"\xff\x00", b'"\xff"'])
def test_a_payload_that_is_not_text_is_refused_with_its_topic(payload):
    with pytest.raises(ContentsError, match="'t' is not UTF-8 text"):
        decode("t", payload)


def test_an_event_is_frozen():
    with pytest.raises(AttributeError):
        Event(topic="t", contents=1).topic = "u"
    assert msgspec.structs.replace(Event(topic="t", contents=1), topic="u").topic == "u"
