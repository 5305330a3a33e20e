"""`record_to`: a flow that ends in a recording."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import notify
from notify import ContentsError, RecordingExistsError
from notify.flows import pipeline, subscribe_to
from notify.flows.recording import Header, Reader, RecordingWriter, record_to
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process
from tests.support.recordings import START, contents_of, event, gap, items_of

pytestmark = pytest.mark.any_server


def test_the_events_and_gaps_of_a_flow_are_recorded(tmp_path: Path) -> None:
    items = [event(1), gap(), event(2)]
    for _ in range(2):
        pipeline(items, record_to(tmp_path / "r", header=Header(started=START, compression="none"))).run()
    reader = Reader(tmp_path / "r")
    assert contents_of([item for item in items_of(reader) if isinstance(item, notify.Event)]) == [1, 2, 1, 2]
    assert (reader.headers[0].compression, reader.summaries()[0].gaps) == ("none", 2)


def test_an_event_is_flushed_while_the_flow_waits(bus: notify.Bus, tmp_path: Path) -> None:
    with pipeline(subscribe_to(bus, "t"), record_to(tmp_path / "r")):
        bus.publish("t", 1)
        wait_until(lambda: contents_of(items_of(Reader(tmp_path / "r"))) == [1], what="the flush")


def test_an_item_that_is_no_event_and_a_folder_that_is_used_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ContentsError, match="a recording takes events, and this is a int"):
        pipeline([1], record_to(tmp_path / "r")).run()
    with RecordingWriter(tmp_path / "s"), pytest.raises(RecordingExistsError, match="another process writes"):
        pipeline([event(1)], record_to(tmp_path / "s")).run()


def test_M14_a_flow_with_a_position_records_all_although_it_is_killed(
    bus: notify.Bus, server: PrivateServer, start: Callable[..., Process], tmp_path: Path
) -> None:
    last = ""
    for life in range(3):
        process = start("recordings.flow_recorder", server.url, tmp_path / "r", "rec")
        assert process.told() == "ready"
        for number in range(50):
            last = bus.publish("t", life * 50 + number)

        def is_stored(until: str = last) -> bool:
            return msgspec.json.decode(bus.redis.get(bus.keys.position("rec")) or b"{}").get("topics", {}).get("t") == until  # type: ignore[arg-type]  # bytes

        if life > 0:
            wait_until(is_stored, what="the position")
        if life < 2:
            process.kill()
        else:
            assert process.end() == 0
    got = contents_of(items_of(Reader(tmp_path / "r")))
    assert sorted(set(got)) == list(range(150))
