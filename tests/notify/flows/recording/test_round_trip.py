"""What is recorded is read again; and after a cut at any byte, all that is whole before it, and the rest is told (M14)."""

import gzip
import sys
import tempfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import notify
from notify import DamagedRecordingError, SettingsError
from notify.flows.recording import Compression, Reader, RecordingWriter
from notify.flows.recording.folder import INDEX
from tests.support.recordings import START, Item, contents_of, data_file, event, gap, items_of, record

pytestmark = pytest.mark.any_server

COMPRESSIONS: list[Compression] = ["none", "gzip", "zstd"]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
failures = st.builds(notify.Failure, type=texts, message=texts, fatal=st.booleans())
events = st.builds(
    notify.Event,
    topic=texts,
    contents=values | failures,
    time=moments,
    source=st.none() | texts,
    id=st.none() | st.just("1-0@e"),
    received=moments,
)
gaps = st.builds(notify.Gap, topic=texts, reason=texts, first=st.none() | texts, last=st.none() | texts)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@given(items=st.lists(events | gaps, max_size=12), every=st.integers(0, 4))
@settings(max_examples=25)
def test_M14_every_event_and_gap_is_read_as_it_was_written(compression: Compression, items: Sequence[Item], every: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "r", items, compression=compression, flush_every=every, max_file_bytes=200)
        reader = Reader(Path(folder) / "r")
        assert items_of(reader) == list(items)
        assert [recorded.at for recorded in reader] == [START + timedelta(milliseconds=number) for number in range(1, len(items) + 1)]
        assert sum(summary.events + summary.gaps for summary in reader.summaries()) == len(items)
        assert reader.damages == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("has_index", [True, False])
@given(data=st.data())
@settings(max_examples=40)
def test_M14_a_file_cut_at_any_byte_gives_a_beginning_and_tells_of_the_rest(
    compression: Compression, has_index: bool, data: st.DataObject
) -> None:
    items = [event({"n": number}, topic="ab"[number % 2]) for number in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        file = data_file(record(Path(folder) / "r", items, compression=compression, flush_every=4))
        if not has_index:
            (file.parent / INDEX).unlink()
        whole = file.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        file.write_bytes(whole[:cut])
        reader = Reader(file.parent)
        got = items_of(reader)
        assert got == items[: len(got)]
        if has_index:
            assert sum(damage.lost or 0 for damage in reader.damages) == 20 - len(got)
        elif len(got) < 20:
            is_at_a_line = compression == "none" and whole[:cut].endswith(b"\n")
            assert reader.damages or is_at_a_line or cut == 0 or len(got) % 4 == 0
        assert all(damage.is_truncated for damage in reader.damages)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("has_index", [True, False])
@given(data=st.data())
@settings(max_examples=40)
def test_M14_a_byte_that_is_changed_makes_an_error_or_at_most_its_block_is_lost(
    compression: Compression, has_index: bool, data: st.DataObject
) -> None:
    items = [event({"n": number}) for number in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        file = data_file(record(Path(folder) / "r", items, compression=compression, flush_every=4))
        whole = bytearray(file.read_bytes())
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(whole)
        if not has_index:
            (file.parent / INDEX).unlink()
        reader = Reader(file.parent, on_damage="skip")
        got = [item for item in items_of(reader) if item in items]
        assert len(got) >= 12
        if has_index:
            assert items_of(reader) == got
            assert sum(damage.lost or 0 for damage in reader.damages) == 20 - len(got)
            with pytest.raises(DamagedRecordingError, match="restore the file from a copy, or read the rest"):
                list(Reader(file.parent))


def test_a_checksum_finds_what_would_be_read_as_another_event(tmp_path: Path) -> None:
    """The twin without an index has no checksum of a file that is not compressed: it reads what was never published."""
    file = data_file(record(tmp_path / "r", [event("true")], compression="none"))
    file.write_bytes(file.read_bytes().replace(b'"true"', b'"lies"'))
    with pytest.raises(DamagedRecordingError):
        list(Reader(file.parent))
    (file.parent / INDEX).unlink()
    assert contents_of(items_of(Reader(file.parent))) == ["lies"]


@given(data=st.data())
def test_a_damaged_index_hides_nothing(data: st.DataObject) -> None:
    items = [event(number) for number in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "r", items, flush_every=3)
        index = Path(folder) / "r" / INDEX
        lines = index.read_bytes().splitlines(keepends=True)
        kept = data.draw(st.sets(st.sampled_from(range(4))))
        index.write_bytes(b"".join(line if number in kept else b"{\xff}\n" for number, line in enumerate(lines)))
        reader = Reader(Path(folder) / "r")
        assert items_of(reader) == items
        assert reader.damages == []


def test_a_file_that_is_missing_is_told_with_the_number_of_its_events(tmp_path: Path) -> None:
    folder = record(tmp_path / "r", [event(number) for number in range(6)], flush_every=2, max_file_bytes=1)
    files = sorted(path for path in folder.iterdir() if path.name[0].isdecimal())
    assert len(files) == 3
    files[1].unlink()
    with pytest.raises(DamagedRecordingError, match="the file is missing, 2 events are missing"):
        Reader(folder)
    assert contents_of(items_of(Reader(folder, on_damage="skip"))) == [0, 1, 4, 5]


def test_M14_a_gap_is_recorded_as_one(tmp_path: Path) -> None:
    reader = Reader(record(tmp_path / "r", [event(1), gap(), event(2)]))
    assert items_of(reader)[1] == gap()
    assert [(summary.events, summary.gaps) for summary in reader.summaries()] == [(2, 1)]
    assert contents_of(list(reader.events())) == [1, 2]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_recording_is_compressed_and_plain_tools_read_it(compression: Compression, tmp_path: Path) -> None:
    items = [event({"celsius": 21.5, "number": number}) for number in range(2000)]
    plain = data_file(record(tmp_path / "plain", items, compression="none"))
    packed = data_file(record(tmp_path / "packed", items, compression=compression, flush_every=500))
    assert packed.stat().st_size < plain.stat().st_size / 5
    if compression == "gzip":
        assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


def test_a_compression_that_is_unknown_or_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = "zip"
    with pytest.raises(SettingsError, match="'zip' is unknown: choose none, gzip, zstd"):
        record(tmp_path / "r", [event(1)], compression=wrong)
    assert not (tmp_path / "r").exists()
    folder = record(tmp_path / "z", [event(1)], compression="zstd")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    for call in (lambda: record(tmp_path / "r", [event(1)], compression="zstd"), lambda: Reader(folder)):
        with pytest.raises(SettingsError, match=r"install notify-workers\[zstd\], or use gzip"):
            call()


def test_contents_that_are_no_json_are_refused_and_the_rest_is_recorded(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r") as writer:
        writer.write(notify.Event(topic="t", contents=1))
        with pytest.raises(notify.ContentsError, match="for 't'"):
            writer.write(notify.Event(topic="t", contents={"a": float("nan")}))
        writer.write(notify.Event(topic="t", contents=2))
    assert contents_of(items_of(Reader(tmp_path / "r"))) == [1, 2]


def test_one_gzip_stream_for_the_whole_file_would_lose_what_was_flushed(tmp_path: Path) -> None:
    """The twin of the blocks: of such a file nothing can be read before it is closed."""
    written, plain = tmp_path / "one.gz", b'{"number":1}\n' * 200
    with gzip.open(written, "wb") as file:
        file.write(plain)
        before = written.read_bytes()
    assert zlib.decompressobj(31).decompress(before) == b""
    writer = RecordingWriter(tmp_path / "r")
    writer.write(event(1))
    writer.flush()
    assert contents_of(items_of(Reader(tmp_path / "r"))) == [1]
    writer.close()


def test_a_folder_that_no_path_can_name_is_refused() -> None:
    for call in (RecordingWriter, Reader):
        with pytest.raises(SettingsError, match="a path has no NUL"):
            call("a\0b")
