"""A recording as the input and the expectation of a test."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from notify.events import Event, EventBus, Gap, Message
from notify.flows.recording.line import Recorded
from notify.flows.recording.reader import Reader
from notify.flows.recording.replay import Replay, ReplayProgress
from notify.values import json_text

__all__ = ["RecordedEvents", "recorded_events"]

SHOWN: Final = 200
"""The most letters of contents in a failed assertion."""


class RecordedEvents:
    """The events of recordings, in memory, for tests: what a user has recorded is replayed, or compared with what a program publishes.

    ::

        report = recorded_events("tests/reports/oven")
        with Recorder(bus, "alarms", folder=tmp_path / "now"):
            report.replay(bus, topics="lab.*")
            ...
        recorded_events(tmp_path / "now").assert_contents("alarms", [{"oven": "too hot"}])

    Args:
        folders: the folders of the recordings.

    Raises:
        RecordingError: as `Reader`. A recording that is cut short, or has a gap, is no error: see `gaps` and `damages`.
    """

    def __init__(self, *folders: str | os.PathLike[str]) -> None:
        self._folders = folders
        reader = Reader(*folders)
        self._recorded: list[Recorded] = list(reader)
        self.damages = reader.damages
        """What is missing at the end of a file."""

    def events(self, topic: str | None = None) -> list[Event]:
        """Return the events, on all topics or on one."""
        return [item for item in self._items(topic) if isinstance(item, Event)]

    def gaps(self, topic: str | None = None) -> list[Gap]:
        """Return the gaps, in all topics or in one."""
        return [item for item in self._items(topic) if isinstance(item, Gap)]

    def contents(self, topic: str | None = None) -> list[Any]:
        """Return the contents of the events, on all topics or on one."""
        return [event.contents for event in self.events(topic)]

    def replay(
        self, into: EventBus | Callable[[Event | Gap], object], *, topics: str | Sequence[str] | None = None, speed: float | None = None
    ) -> ReplayProgress:
        """Replay to the end, by default without pauses. Arguments and errors as for `Replay`; Notify's own topics are replayed as well."""
        return Replay(Reader(*self._folders, topics=topics), into, speed=speed, own_topics=True).run()

    def assert_contents(self, topic: str, expected: Sequence[Any]) -> None:
        """Check the contents of all events on a topic, in order.

        Raises:
            AssertionError: they are different, or the recording has a gap in the topic; the message shows the first difference.
        """
        gaps = self.gaps(topic)
        if gaps:
            raise AssertionError(f"the recording of {topic!r} has a gap after {gaps[0].first} ({gaps[0].reason})")
        _compare(topic, self.contents(topic), list(expected))

    def assert_same(self, other: "RecordedEvents", *topics: str) -> None:
        """Check that both have the same events on topics: in the same order on each topic, with the same contents.

        Args:
            other: the other recording.
            topics: the topics; by default all that are in either.

        Raises:
            AssertionError: as for `assert_contents`.
        """
        for topic in topics or sorted({item.topic for one in (self, other) for item in one._items(None)}):
            other.assert_contents(topic, self.contents(topic))

    def _items(self, topic: str | None) -> list[Event | Gap]:
        return [recorded.item for recorded in self._recorded if topic is None or recorded.item.topic == topic]


def recorded_events(*folders: str | os.PathLike[str]) -> RecordedEvents:
    """Return the events of recordings, for tests; arguments and errors as for `RecordedEvents`."""
    return RecordedEvents(*folders)


def _compare(topic: str, got: list[Any], expected: list[Any]) -> None:
    wanted = [value.to_contents() if isinstance(value, Message) else value for value in expected]
    for number, (one, other) in enumerate(zip(got, wanted, strict=False)):
        if one != other:
            raise AssertionError(f"event {number} on {topic!r} is {_shown(one)}, and was to be {_shown(other)}")
    if len(got) != len(wanted):
        rest = f"the first one more is {_shown(got[len(wanted)])}" if len(got) > len(wanted) else f"{_shown(wanted[len(got)])} is missing"
        raise AssertionError(f"there are {len(got)} events on {topic!r}, and were to be {len(wanted)}: {rest}")


def _shown(value: Any) -> str:
    text = json_text(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
