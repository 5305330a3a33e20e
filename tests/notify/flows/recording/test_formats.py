"""Export of recordings as JSON lines, CSV and Parquet (M14)."""

import csv
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import notify
from notify import DamagedRecordingError, RecordingExistsError, RecordingStorageError, SettingsError
from notify.flows.recording import ExportFormat, Reader, export, export_lines
from tests.support.hostile import EVIL
from tests.support.recordings import START, data_file, event, gap, record

pytestmark = pytest.mark.any_server

FORMATS: list[ExportFormat] = ["jsonl", "csv", "parquet"]
CONTENTS: list[Any] = [{"a": [1, None, 2.5]}, 'text, with "quotes"\nand a break', None, EVIL]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    items = [*(event(value, id=f"{n}-0@e") for n, value in enumerate(CONTENTS)), event(notify.Failure("KeyError", "k")), gap("other")]
    return Reader(record(tmp_path / "r", items))


def test_M14_json_lines_hold_all_that_was_recorded(reader: Reader, tmp_path: Path) -> None:
    assert export(reader, tmp_path / "out.jsonl", "jsonl") == 6
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["contents"] for row in rows[:4]] == CONTENTS
    assert rows[0]["at"] == (START + timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
    assert (rows[0]["topic"], rows[0]["source"], rows[0]["id"]) == ("lab", "test", "0-0@e")
    assert rows[4]["error"] == {"type": "KeyError", "message": "k"}
    assert rows[5] == {"at": rows[5]["at"], "topic": "other", "gap": {"reason": "trimmed", "first": "1-0@e", "last": "2-0@e"}}


def test_M14_csv_has_a_line_for_each_event_and_gap(reader: Reader, tmp_path: Path) -> None:
    assert export(reader, tmp_path / "out.csv", "csv") == 6
    text = (tmp_path / "out.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(text.splitlines()) == 7  # no break in a cell
    assert [json.loads(row["contents"]) for row in rows[:4]] == CONTENTS
    assert json.loads(rows[4]["error"])["type"] == "KeyError"
    assert (rows[5]["contents"], json.loads(rows[5]["gap"])["reason"]) == ("", "trimmed")


def test_M14_parquet_has_columns_with_types(reader: Reader, tmp_path: Path) -> None:
    assert export(reader, tmp_path / "out.parquet", "parquet") == 6
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert rows[0]["at"] == START + timedelta(milliseconds=1)
    assert rows[0]["time"] == START
    assert [json.loads(row["contents"]) for row in rows[:4]] == CONTENTS
    assert (rows[5]["contents"], rows[5]["time"]) == (None, None)


def test_no_line_of_an_export_drives_a_terminal(tmp_path: Path) -> None:
    reader = Reader(record(tmp_path / "r", [event({EVIL: EVIL}, topic=EVIL, source=EVIL), event(notify.Failure(EVIL, EVIL)), gap(EVIL)]))
    lines = [*export_lines(reader, "jsonl"), *export_lines(reader, "csv")]
    assert all(line.isprintable() for line in lines)
    assert json.loads(lines[0])["contents"] == {EVIL: EVIL}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_that_exists_is_left_alone(reader: Reader, tmp_path: Path, format_: ExportFormat) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(RecordingExistsError, match="choose another file"):
        export(reader, tmp_path / "out", format_)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_that_fails_leaves_no_half_file(tmp_path: Path, format_: ExportFormat) -> None:
    file = data_file(record(tmp_path / "r", [event(number) for number in range(6)], flush_every=3))
    file.write_bytes(file.read_bytes()[:-8] + b"12345678")
    with pytest.raises(DamagedRecordingError):
        export(Reader(file.parent), tmp_path / "out", format_)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    with pytest.raises(RecordingStorageError, match="out cannot be written"):
        export(Reader(file.parent), tmp_path / "nowhere" / "out", format_)


def test_a_format_that_is_unknown_or_not_installed_is_named(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = "xls"
    with pytest.raises(SettingsError, match="choose jsonl, csv, parquet"):
        export(reader, tmp_path / "out", wrong)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"install notify-workers\[parquet\]"):
        export(reader, tmp_path / "out", "parquet")
