"""A recorder that is slower than the publishers: each event that is not in the recording is told by a gap in its place."""

import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import notify
from notify.flows.recording import Reader, Recorder, RecordingWriter
from notify.testing import PrivateServer, wait_until
from tests.support.recordings import items_of

TOPICS = 5
EVENTS = 20_000


@pytest.fixture
def small_buffers(own_server: PrivateServer, connect_to: Callable[..., notify.Bus]) -> notify.Bus:
    """A bus on a server that cuts slow subscribers off soon, with short logs."""
    bus = connect_to(own_server, log_length=500)
    bus.redis.config_set("client-output-buffer-limit", "pubsub 256kb 256kb 1")
    return bus


def unaccounted(folder: Path) -> tuple[int, int]:
    """Return how many events are recorded, and how many are missing without a gap where they would be."""
    events = missing = 0
    last: dict[str, int] = defaultdict(lambda: -1)
    has_gap: dict[str, bool] = defaultdict(bool)
    for item in items_of(Reader(folder)):
        if isinstance(item, notify.Gap):
            has_gap[item.topic] = True
            continue
        number: Any = item.contents
        assert number > last[item.topic]
        missing += 0 if has_gap[item.topic] else number - last[item.topic] - 1
        last[item.topic], has_gap[item.topic] = number, False
        events += 1
    for number in range(TOPICS):
        topic = f"lab.{number}"
        missing += 0 if has_gap[topic] else EVENTS // TOPICS - 1 - last[topic]
    return events, missing


def test_M14_each_event_that_a_slow_recorder_misses_is_told_by_a_gap(
    small_buffers: notify.Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_flooded, write = threading.Event(), RecordingWriter.write_line

    def write_slowly(self: RecordingWriter, line: Any) -> None:
        if not is_flooded.is_set():
            is_flooded.wait(0.001)
        write(self, line)

    monkeypatch.setattr(RecordingWriter, "write_line", write_slowly)
    with Recorder(small_buffers, "lab.*", folder=tmp_path / "r", flush_s=0.05) as recorder:
        with small_buffers.background_publisher(when_full="block") as publisher:
            for number in range(EVENTS):
                publisher.put(f"lab.{number % TOPICS}", number // TOPICS)
        is_flooded.set()
        wait_until(lambda: unaccounted(tmp_path / "r")[1] == 0, timeout_s=20, what="the last events, or gaps in their place")
    events, missing = unaccounted(tmp_path / "r")
    assert missing == 0
    assert recorder.counters.gaps > 0
    assert events < EVENTS
