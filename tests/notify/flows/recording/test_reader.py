"""`Reader`: windows of time, topics, several recordings in the order of time, and folders that hold no recording (M14)."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import DamagedRecordingError, EmptySubscriptionError, NoRecordingError, RecordingError, RecordingStorageError, SettingsError
from notify.flows.recording import Reader, RecordingWriter
from notify.flows.recording.folder import HEADER, block_of
from notify.flows.recording.line import Line, line_of, micros_of
from notify.flows.recording.recording import Recording
from tests.support.recordings import START, contents_of, event, items_of, record

pytestmark = pytest.mark.any_server


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_M14_a_window_of_time_is_read_and_other_blocks_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record(tmp_path / "r", [event(number) for number in range(1, 101)], step_s=1, flush_every=10)
    loaded = []
    load = Recording._load
    monkeypatch.setattr(Recording, "_load", lambda self, block, told: loaded.append(block) or load(self, block, told))
    reader = Reader(folder, since=START + at(35), until=START + at(52))
    assert contents_of(items_of(reader)) == list(range(35, 52))
    assert len(loaded) == 3
    assert reader.span == (START + at(35), START + at(52))


def test_a_window_of_wall_clock_times_is_in_utc(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(number) for number in range(1, 5)], step_s=1)
    naive = (START + at(2)).replace(tzinfo=None)
    assert contents_of(items_of(Reader(folder, since=naive))) == [2, 3, 4]


def test_M14_topics_are_chosen_by_name_and_pattern(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(topic, topic=topic) for topic in ("lab.a", "x", "lab.b", "[odd]")])
    assert contents_of(items_of(Reader(folder, topics="lab.*"))) == ["lab.a", "lab.b"]
    assert contents_of(items_of(Reader(folder, topics=["x", "lab.b"]))) == ["x", "lab.b"]
    assert contents_of(items_of(Reader(folder, topics="[odd]"))) == ["[odd]"]


def test_a_topic_that_was_not_recorded_is_an_error_that_names_those_that_were(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1, topic="b"), event(2, topic="a")])
    with pytest.raises(RecordingError, match="no event on 'c' was recorded: there are 'a', 'b'"):
        Reader(folder, topics=["a", "c"])
    with pytest.raises(EmptySubscriptionError):
        Reader(folder, topics=[])


@given(
    times=st.lists(st.lists(st.integers(0, 50), max_size=20), min_size=1, max_size=3),
    every=st.integers(1, 5),
)
def test_M14_several_recordings_are_merged_in_the_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, times: list[list[int]], every: int
) -> None:
    """Also events that came late: of one recording, events of one instant stay in the order in which they were written."""
    root = tmp_path_factory.mktemp("merged")
    folders = [
        record(
            root / str(place), [event([moment, place, n], after_s=moment) for n, moment in enumerate(moments)], step_s=0, flush_every=every
        )
        for place, moments in enumerate(times)
    ]
    got = contents_of(items_of(Reader(*folders)))
    assert got == sorted([moment, place, n] for place, moments in enumerate(times) for n, moment in enumerate(moments))


def test_the_lines_that_wait_to_be_merged_are_those_of_few_blocks(tmp_path: Path) -> None:
    """Events of two clocks that differ slightly overlap all along; only the neighbours of a block are in memory."""
    items = [event(number, after_s=number + (0 if number % 2 else 1.5)) for number in range(2000)]
    recording = Recording(record(tmp_path / "r", items, step_s=0, flush_every=20))
    unread = [0]
    load = recording._load

    def counted(block: object, told: object) -> object:
        lines = load(block, told)  # type: ignore[arg-type]  # handed on
        unread[0] += len(lines)
        return lines

    recording._load = counted  # type: ignore[assignment,method-assign]
    most, times = 0, []
    for line in recording.lines(lambda _: True, print):
        most = max(most, unread[0])
        unread[0] -= 1
        times.append(line.at)
    assert times == sorted(times)
    assert most <= 60


def test_a_window_that_is_empty_or_turned_round_is_refused(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1)])
    for until in (START, START - at(1)):
        with pytest.raises(SettingsError, match="give an end after its begin"):
            Reader(folder, since=START, until=until)


def test_without_a_folder_or_with_an_unknown_policy_there_is_no_reader(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give its folder"):
        Reader()
    with pytest.raises(SettingsError, match="choose raise or skip"):
        Reader(tmp_path, on_damage="ignore")  # type: ignore[arg-type]  # that is the test


def test_a_folder_without_a_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NoRecordingError, match=r"holds no recording: there is no recording\.json"):
        Reader(tmp_path)
    with pytest.raises(NoRecordingError, match=r"there is no folder .*elsewhere"):
        Reader(tmp_path / "elsewhere")
    with pytest.raises(NoRecordingError):
        Reader(tmp_path / "notes.txt")


@pytest.mark.parametrize("header", [b"", b"{", b"\xff", b'{"started": 1}', b"[" * 10_000])
def test_a_header_that_cannot_be_read_is_named(header: bytes, tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1)])
    (folder / HEADER).write_bytes(header)
    with pytest.raises(DamagedRecordingError, match="is not the header of a recording"):
        Reader(folder)


def test_a_recording_of_a_later_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1)])
    text = (folder / HEADER).read_text()
    assert '"version": 1' in text
    (folder / HEADER).write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(DamagedRecordingError, match="install a later version"):
        Reader(folder)


def test_a_file_of_another_kind_beside_those_of_a_recording_is_left_alone(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(1)])
    (folder / "notes.jsonl").write_text("mine")
    assert contents_of(items_of(Reader(folder))) == [1]


def test_an_empty_recording_has_no_events_and_no_span(tmp_path: Path) -> None:
    reader = Reader(record(tmp_path / "r", []))
    assert (list(reader), reader.span, reader.summaries(), reader.damages) == ([], None, [], [])


def test_a_recording_that_is_still_written_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r") as writer:
        writer.write(event(1))
        assert items_of(Reader(tmp_path / "r")) == []
        writer.flush()
        writer.write(event(2))
        assert contents_of(items_of(Reader(tmp_path / "r"))) == [1]
    assert contents_of(items_of(Reader(tmp_path / "r"))) == [1, 2]


def test_a_block_knows_the_span_and_the_topics_of_its_lines() -> None:
    lines: list[Line] = [line_of(event(1, id="2-0@e", after_s=second), micros_of(START + at(second))) for second in (2, 1, 3)]
    block = block_of("f", 5, b"data", lines)
    assert (block.first, block.last, block.is_sorted) == (micros_of(START + at(1)), micros_of(START + at(3)), False)
    assert block.topics == {"lab": (3, 0, "2-0@e")}


def test_a_file_that_the_system_does_not_let_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / HEADER).mkdir()
    with pytest.raises(RecordingStorageError, match=r"cannot be read \(Is a directory\): check the path"):
        Reader(tmp_path)
