"""Events as CloudEvents, and CloudEvents as events."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import notify
from notify import ContentsError, Event, Failure, cloudevent_of, event_of_cloudevent

GIVEN: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/mycontext/4",
    "type": "com.example.someevent",
    "time": "2018-04-05T17:31:00Z",
    "datacontenttype": "application/json",
    "subject": "larger-context",
    "data": {"appinfoA": "abc", "appinfoB": 123},
}
"""An example of the specification, with JSON data."""


def test_a_cloudevent_is_published_once_and_comes_as_an_event(bus: notify.Bus, collect: Any) -> None:
    event, key = event_of_cloudevent(GIVEN)
    publish = bus.register_publisher(event.topic)
    with bus.subscribe(event.topic) as events:
        first = publish(event, key=key)
        assert publish(event_of_cloudevent(json.dumps(GIVEN))[0], key=event_of_cloudevent(GIVEN)[1]) == first
        (came,) = collect(events, 1)
    assert (came.topic, came.contents, came.source) == ("com.example.someevent", GIVEN["data"], "/mycontext/4")
    assert came.time == datetime(2018, 4, 5, 17, 31, tzinfo=UTC)


@pytest.mark.parametrize("contents", [{"a": [1, None]}, "text", None, 21.5, Failure("LookupError", "nothing", fatal=True)])
def test_an_event_is_the_same_after_it_was_a_cloudevent(contents: Any) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = Event(topic="yard", contents=contents, source="desk 4:ü", id="1-0@e", traceparent=traceparent, tracestate="vendor=1")
    cloudevent = cloudevent_of(event)
    assert (cloudevent["specversion"], cloudevent["id"], cloudevent["type"]) == ("1.0", "1-0@e", "yard")
    assert str(cloudevent["source"]).isascii()
    assert " " not in str(cloudevent["source"])
    back, _ = event_of_cloudevent(json.dumps(cloudevent))
    assert (back.topic, back.contents, back.source, back.time, back.traceparent, back.tracestate) == (
        "yard",
        contents,
        "desk 4:ü",
        event.time,
        traceparent,
        "vendor=1",
    )


def test_a_message_becomes_its_contents_and_an_event_without_id_gets_one() -> None:
    class Reading(notify.Message, topic="temperature"):
        celsius: float

    cloudevent = cloudevent_of(Event(topic="temperature", contents=Reading(celsius=21.5)))
    assert cloudevent["data"] == {"celsius": 21.5}
    assert cloudevent["id"]
    assert cloudevent["source"] == "notify"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"specversion": "0.3"}, "no CloudEvent 1.0"),
        ({"id": ""}, "no CloudEvent 1.0"),
        ({"source": None}, "no CloudEvent in structured JSON"),
        ({"time": "yesterday"}, "no CloudEvent in structured JSON"),
        ({"data": None, "data_base64": "AAAA"}, "encode them before"),
        ({"datacontenttype": "text/xml", "data": 1}, "are text/xml"),
        ({"notifykind": "error", "data": 5}, "are no error"),
    ],
)
def test_what_is_no_cloudevent_or_has_no_json_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ContentsError, match=said):
        event_of_cloudevent({**GIVEN, **changed})


@pytest.mark.parametrize("given", ["", "[]", "{", b"\xff", 5, None, "[" * 100_000])
def test_what_is_no_object_is_refused(given: object) -> None:
    with pytest.raises(ContentsError, match="no CloudEvent"):
        event_of_cloudevent(given)


def test_a_type_that_is_no_topic_is_refused_unless_a_topic_is_given() -> None:
    with pytest.raises(notify.InvalidTopicError):
        event_of_cloudevent({**GIVEN, "type": "a*"})
    assert event_of_cloudevent({**GIVEN, "type": "a*"}, topic="t")[0].topic == "t"
