"""`notify.testing.recorded_events`: the bug report of a user as a test (M14)."""

from pathlib import Path
from typing import Any

import pytest

import notify
from notify.flows import format_output, matches, pipeline, publish_to, subscribe_to
from notify.flows.recording import Recorder
from notify.testing import fake_bus, recorded_events, wait_until
from tests.support.recordings import event, gap, record

pytestmark = pytest.mark.any_server


def test_M14_a_recording_is_replayed_into_a_program_and_its_output_is_checked(bus: notify.Bus, tmp_path: Path) -> None:
    report = recorded_events(record(tmp_path / "report", [event(f"ALARM {number}") for number in range(3)] + [event("all is well")]))
    alarms = pipeline(
        subscribe_to(bus, "lab"),
        lambda item: item.contents,
        matches(r"ALARM (\d)", groups=True),
        format_output("{0}!"),
        publish_to(bus, "a"),
    )
    with Recorder(bus, "a", folder=tmp_path / "now") as recorder, alarms:
        assert report.replay(bus).events == 4
        wait_until(lambda: recorder.counters.events == 3, what="the alarms")
    recorded_events(tmp_path / "now").assert_contents("a", ["0!", "1!", "2!"])


def test_a_recording_is_replayed_into_a_bus_without_a_server(tmp_path: Path) -> None:
    report = recorded_events(record(tmp_path / "r", [event(1), event(2, topic="services")]))
    with fake_bus() as bus, bus.subscribe("*") as events:
        report.replay(bus)
        got: list[Any] = [events.get(5), events.get(5)]
    assert [(item.topic, item.contents) for item in got] == [("lab", 1), ("services", 2)]


def test_events_contents_and_gaps_are_at_hand_for_each_topic(tmp_path: Path) -> None:
    report = recorded_events(record(tmp_path / "r", [event(1), event(2, topic="x"), gap("x")]))
    assert (report.contents(), report.contents("x"), report.contents("y")) == ([1, 2], [2], [])
    assert (report.gaps("lab"), report.gaps("x"), report.damages) == ([], [gap("x")], [])
    assert [item.contents for item in report.events("lab")] == [1]


def test_the_first_difference_is_shown(tmp_path: Path) -> None:
    report = recorded_events(record(tmp_path / "r", [event({"n": 1}), event({"n": 2}), gap("x"), event(0, topic="x")]))
    report.assert_contents("lab", [{"n": 1}, {"n": 2}])
    for expected, message in (
        ([{"n": 1}, {"n": 3}], r'event 1 on \'lab\' is \{"n": 2\}, and was to be \{"n": 3\}'),
        ([{"n": 1}], r'there are 2 events on \'lab\', and were to be 1: the first one more is \{"n": 2\}'),
        ([{"n": 1}, {"n": 2}, 5], "and were to be 3: 5 is missing"),
    ):
        with pytest.raises(AssertionError, match=message):
            report.assert_contents("lab", expected)
    with pytest.raises(AssertionError, match=r"has a gap after 1-0@e \(trimmed\)"):
        report.assert_contents("x", [0])


def test_two_recordings_are_the_same_if_each_topic_is(tmp_path: Path) -> None:
    one = recorded_events(record(tmp_path / "1", [event(1), event("a", topic="x"), event(2)]))
    same = recorded_events(record(tmp_path / "2", [event("a", topic="x"), event(1), event(2)]))
    other = recorded_events(record(tmp_path / "3", [event("a", topic="x"), event(2), event(1)]))
    one.assert_same(same)
    one.assert_same(other, "x")
    with pytest.raises(AssertionError, match="event 0 on 'lab' is 2, and was to be 1"):
        one.assert_same(other)
