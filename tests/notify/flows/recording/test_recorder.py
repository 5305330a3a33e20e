"""`Recorder` on a real server: what was flushed outlives the process, and nothing is missing in silence (M14)."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import notify
from notify import NoRecordingError, RecordingError, RecordingExistsError, RecordingStorageError
from notify.flows.recording import Compression, Reader, Recorder, RecordingWriter
from notify.flows.recording.folder import HEADER, INDEX
from notify.flows.recording.writer import _File
from notify.testing import PrivateServer, wait_until
from tests.support.processes import Process
from tests.support.recordings import contents_of, event, items_of, record

Start = Callable[..., Process]
Connect = Callable[..., notify.Bus]


def recorded(folder: Path) -> list[Any]:
    return contents_of(items_of(Reader(folder)))


def test_M14_the_events_of_topics_and_patterns_are_recorded_in_order(bus: notify.Bus, tmp_path: Path) -> None:
    with Recorder(bus, "lab.*", "x", folder=tmp_path / "r") as recorder:
        published = [bus.publish(topic, number) for number, topic in enumerate(["lab.a", "x", "y", "lab.b", "x"])]
    items = items_of(Reader(tmp_path / "r"))
    assert contents_of(items) == [0, 1, 3, 4]
    assert [item.id for item in items if isinstance(item, notify.Event)] == [each for n, each in enumerate(published) if n != 2]
    assert recorder.counters.events == recorder.counters.flushed == 4


def test_the_place_in_time_is_that_of_the_server(bus: notify.Bus, tmp_path: Path) -> None:
    with Recorder(bus, "t", folder=tmp_path / "r"):
        published = [bus.publish("t", 1), bus.publish("t", KeyError("k"))]
        bus.redis.publish(bus.keys.channel("t"), "by hand")
    lines = list(Reader(tmp_path / "r").lines())
    assert [str(line.at // 1000) for line in lines[:2]] == [event_id.partition("-")[0] for event_id in published]
    assert abs(lines[2].at - lines[1].at) < 2_000_000
    assert lines[1].error == notify.Failure("KeyError", "'k'")
    assert lines[2].contents == "by hand"


def test_a_retained_event_stands_at_the_begin_and_not_in_the_past(bus: notify.Bus, tmp_path: Path) -> None:
    old = bus.publish("t", "old", retain_s=60)
    wait_until(lambda: bus.redis.time()[1] // 1000 != int(old.partition("-")[0]) % 1000, what="another millisecond")
    with Recorder(bus, "t", folder=tmp_path / "r"):
        bus.publish("t", "new")
    first, second = Reader(tmp_path / "r").lines()
    assert (first.contents, second.contents) == ("old", "new")
    assert int(old.partition("-")[0]) * 1000 < first.at <= second.at + 1000


def test_the_past_is_recorded_in_the_order_of_time_whatever_its_topic(bus: notify.Bus, tmp_path: Path) -> None:
    ids = [bus.publish("ab"[number % 2], number) for number in range(10)]
    with Recorder(bus, "a", "b", folder=tmp_path / "r", since="start") as recorder:
        wait_until(lambda: recorder.counters.events == 10, what="the events")
    got = [item.id for item in items_of(Reader(tmp_path / "r")) if isinstance(item, notify.Event)]
    assert sorted(got) == sorted(ids)
    assert [int(event_id.partition("-")[0]) for event_id in got] == sorted(int(event_id.partition("-")[0]) for event_id in ids)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_M14_what_was_flushed_is_read_after_kill_9_also_compressed(
    bus: notify.Bus, server: PrivateServer, start: Start, tmp_path: Path, compression: Compression
) -> None:
    process = start("recordings.recorder", server.url, tmp_path / "r", compression, "new", "t")
    assert process.told() == "ready"
    for number in range(200):
        bus.publish("t", number)
    process.go()
    flushed = process.told()
    process.kill()
    got = recorded(tmp_path / "r")
    assert flushed <= len(got) <= 200
    assert got == list(range(len(got)))


def test_M14_a_recording_that_goes_on_after_kill_9_is_complete(
    bus: notify.Bus, server: PrivateServer, start: Start, tmp_path: Path
) -> None:
    """Three recorders are killed; what is published meanwhile is in the logs, also on a topic that was not there before."""
    published = 0
    for life in range(4):
        process = start("recordings.recorder", server.url, tmp_path / "r", "gzip", "append", "t", "lab.*")
        assert process.told() == "ready"
        for _ in range(100):
            bus.publish("t", published)
            published += 1
        if life < 3:
            process.go()
            assert process.told() > 0
            process.kill()
            bus.publish("t", published)
            bus.publish(f"lab.{life}", "new topic")
            published += 1
        else:
            assert process.end() == 0
    reader = Reader(tmp_path / "r", topics="t")
    assert contents_of(items_of(reader)) == list(range(published))
    assert contents_of(items_of(Reader(tmp_path / "r", topics="lab.*"))) == ["new topic"] * 3


def test_without_append_what_was_published_meanwhile_is_missing(bus: notify.Bus, tmp_path: Path) -> None:
    """The twin of the one before."""
    for life in ("r1", "r2"):
        with Recorder(bus, "t", folder=tmp_path / life):
            bus.publish("t", life)
        bus.publish("t", f"after {life}")
    assert contents_of(items_of(Reader(tmp_path / "r1", tmp_path / "r2"))) == ["r1", "r2"]


def test_a_half_written_block_is_told_and_the_recording_goes_on_behind_it(bus: notify.Bus, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    with Recorder(bus, "t", folder=folder):
        bus.publish("t", 1)
    file = folder / "0000001.jsonl.gz"
    file.write_bytes(file.read_bytes() + file.read_bytes()[:20])  # a block that a crash has cut short
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes() + b'{"file":')
    with Recorder(bus, "t", folder=folder, append=True):
        bus.publish("t", 2)
    reader = Reader(folder)
    assert contents_of(items_of(reader)) == [1, 2]
    assert [damage.is_truncated for damage in reader.damages] == [True]


def test_M14_a_gap_in_a_topic_is_recorded_as_one(server: PrivateServer, bus: notify.Bus, connect_to: Connect, tmp_path: Path) -> None:
    with Recorder(bus, "t", folder=tmp_path / "r"):
        bus.publish("t", "before")
    short = connect_to(server, log_length=10)
    for number in range(500):
        short.publish("t", number)
    with Recorder(bus, "t", folder=tmp_path / "r", append=True) as recorder:
        wait_until(lambda: recorder.counters.events and items_of(Reader(tmp_path / "r"))[-1], what="events")
        bus.publish("t", "after")
    got = recorded(tmp_path / "r")
    assert (got[0], got[1], got[-2:]) == ("before", "trimmed", [499, "after"])
    assert got[2:-1] == list(range(502 - len(got) + 1, 500))


def test_the_header_has_neither_the_address_nor_the_password_of_the_server(own_server: PrivateServer, tmp_path: Path) -> None:
    with notify.connect(own_server.url) as admin:
        admin.redis.config_set("requirepass", "s3cret")
    with notify.connect(own_server.url.replace("unix://", "unix://:s3cret@"), name="me") as bus, Recorder(bus, "t", folder=tmp_path / "r"):
        bus.publish("t", 1)
    written = b"".join(path.read_bytes() for path in (tmp_path / "r").iterdir() if path.suffix != ".gz")
    assert b"s3cret" not in written
    assert str(own_server.directory).encode() not in written
    assert (tmp_path / "r").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "r").iterdir())


def test_start_and_stop_say_whether_they_did_something(bus: notify.Bus, tmp_path: Path) -> None:
    recorder = Recorder(bus, "t", folder=tmp_path / "r", append=True)
    assert [recorder.stop(), recorder.start(), recorder.start(), recorder.stop(), recorder.stop()] == [False, True, False, True, False]
    assert recorder.start() is True  # a recorder may be started again, to go on
    bus.publish("t", 1)
    assert recorder.stop() is True
    assert recorded(tmp_path / "r") == [1]


def test_a_folder_with_a_recording_is_not_overwritten(bus: notify.Bus, tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1)])
    with pytest.raises(RecordingExistsError, match="choose another folder, or append"):
        Recorder(bus, "t", folder=folder).start()
    with pytest.raises(RecordingError, match=r"is a recording of \* in the namespace 'notify': continue it with the same topics"):
        Recorder(bus, "t", folder=folder, append=True).start()
    assert recorded(folder) == [1]


def test_two_recorders_do_not_share_a_folder(bus: notify.Bus, tmp_path: Path) -> None:
    with Recorder(bus, "t", folder=tmp_path / "r"), pytest.raises(RecordingExistsError, match="another process writes"):
        Recorder(bus, "t", folder=tmp_path / "r", append=True).start()


@pytest.mark.parametrize("append", [False, True])
def test_a_folder_that_holds_something_else_is_left_alone(bus: notify.Bus, tmp_path: Path, append: bool) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(NoRecordingError, match="choose an empty folder, or a new one"):
        Recorder(bus, "t", folder=tmp_path, append=append).start()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RecordingStorageError, match=r"thesis\.tex|Not a directory"):
        Recorder(bus, "t", folder=tmp_path / "thesis.tex" / "r", append=append).start()


def test_the_header_that_a_killed_process_has_left_empty_is_written_anew(bus: notify.Bus, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / HEADER).touch()
    with Recorder(bus, "t", folder=tmp_path / "r"):
        bus.publish("t", 1)
    assert recorded(tmp_path / "r") == [1]


def test_a_full_disk_ends_the_recording_with_the_remedy_and_it_goes_on_complete(
    bus: notify.Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(bus, "t", folder=tmp_path / "r", flush_s=0.01, append=True)
    recorder.start()
    bus.publish("t", 1)
    wait_until(lambda: recorder.counters.flushed == 1, what="the flush")
    full = OSError(28, "No space left on device")
    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(_File, "append", lambda *_: (_ for _ in ()).throw(full))
        bus.publish("t", 2)
        assert recorder.wait(5)
        with pytest.raises(RecordingStorageError, match=r"1 events cannot be written .*free some space on the disk, and go on with append"):
            recorder.stop()
    assert recorded(tmp_path / "r") == [1]
    with recorder:
        bus.publish("t", 3)
    assert recorded(tmp_path / "r") == [1, 2, 3]


def test_a_bus_that_is_closed_ends_the_recording_and_what_came_is_written(server: PrivateServer, bus: notify.Bus, tmp_path: Path) -> None:
    with notify.connect(server.url) as other:
        recorder = Recorder(other, "t", folder=tmp_path / "r")
        recorder.start()
        bus.publish("t", 1)
        wait_until(lambda: recorder.counters.events, what="the event")
    assert recorder.wait(5)
    assert recorder.stop() is True
    assert recorded(tmp_path / "r") == [1]


def test_a_closed_writer_refuses_and_says_so_once(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r")
    writer.write(notify.Event(topic="t", contents=1, time=datetime.now(UTC)))
    assert (writer.waiting, writer.close(), writer.close(), writer.is_closed) == (1, True, False, True)
    with pytest.raises(notify.ClosedError, match="append=True"):
        writer.write(event(2))
    with pytest.raises(notify.SettingsError, match="max_file_bytes is 0"):
        RecordingWriter(tmp_path / "s", max_file_bytes=0)
