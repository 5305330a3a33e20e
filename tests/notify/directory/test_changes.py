"""The one reader of the events on the topic ``services``: what the scripts announce, and what is published by hand."""

import json

import pytest

from notify.directory.changes import Alarm, ServiceChange, read_change, read_logged_change

ODD = [
    "text",
    5,
    None,
    [],
    {},
    {"change": "withdrawn"},
    {"service": "s"},
    {"change": 1, "service": "s"},
    {"change": "withdrawn", "service": 3},
    {"change": "withdrawn", "service": "s", "incarnation": "x"},
    {"change": "withdrawn", "service": "s", "provides": "x"},
    {"change": "alarm"},
    {"change": "alarm", "silent": "many", "of": 3},
]


def test_announcements_of_the_scripts_are_read_whole(bus):
    with bus.service("s", provides=["work"], groups=["g"]) as service:
        pass
    logged = [fields[b"data"] for _, fields in bus.redis.xrange(bus.keys.log("services"))]
    described = {"service": "s", "incarnation": service.incarnation, "provides": ["work"], "groups": ["g"]}
    changes = [ServiceChange("available", **described), ServiceChange("withdrawn", **described, reason="withdrawn")]
    assert [read_logged_change(event) for event in logged] == changes
    assert [read_change(json.loads(event)["contents"]) for event in logged] == changes
    assert changes[0].capabilities == ["work"]


def test_an_alarm_is_read_as_an_alarm():
    assert read_change({"change": "alarm", "silent": 20, "of": 30}) == Alarm(20, 30)


@pytest.mark.parametrize("contents", ODD, ids=str)
def test_contents_published_by_hand_are_passed_over(contents):
    assert read_change(contents) is None
    assert read_logged_change(json.dumps({"contents": contents}).encode()) is None


@pytest.mark.parametrize("event", [b"", b"{", b"5", b'{"error": {}}', b'{"contents": {"change": "\xff", "service": "s"}}', b"[" * 5000])
def test_logged_entries_that_are_no_events_are_passed_over(event):
    assert read_logged_change(event) is None


def test_a_change_without_an_incarnation_matches_no_registration():
    change = read_change({"change": "withdrawn", "service": "s"})
    assert isinstance(change, ServiceChange)
    assert change.incarnation < 0


def test_capabilities_that_are_not_text_are_left_out():
    change = read_change({"change": "withdrawn", "service": "s", "incarnation": 1, "provides": ["work", 3, None]})
    assert isinstance(change, ServiceChange)
    assert change.capabilities == ["work"]
