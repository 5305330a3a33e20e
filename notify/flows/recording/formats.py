"""Exports recordings as JSON lines, CSV or Parquet."""

import csv
import io
import os
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from notify.errors import RecordingExistsError, RecordingStorageError, SettingsError
from notify.flows.recording.folder import storage_error
from notify.flows.recording.line import GapLine, Line, datetime_of
from notify.flows.recording.reader import Reader
from notify.process import printable, printable_json
from notify.values import wire_encoder

__all__ = ["ExportFormat", "export", "export_lines"]

ExportFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]
"""What a recording can be exported as."""
COLUMNS: Final = ("at", "topic", "time", "source", "id", "contents", "error", "gap")
"""The columns of CSV and Parquet. Contents, errors and gaps are JSON."""
ROWS_AT_ONCE: Final = 10_000

_ENCODER: Final = wire_encoder()


class _Exported(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line as it is exported, with its place in time as text."""

    at: datetime
    topic: str
    time: datetime | None = None
    source: str | None = None
    id: str | None = None
    contents: Any = msgspec.UNSET
    error: Any = None
    gap: GapLine | None = None


def export(reader: Reader, path: str | os.PathLike[str], format: ExportFormat) -> int:  # noqa: A002  # what users call it
    """Write recordings to a file. It is there only when it is whole.

    Args:
        reader: the recordings, with the window and the topics to export.
        path: the file, which must not exist.
        format: ``jsonl``, ``csv``, or ``parquet`` (with the extra ``parquet``).

    Returns:
        The number of events and gaps.

    Raises:
        RecordingExistsError: the file exists.
        RecordingStorageError: the file cannot be written, or a recording cannot be read.
        DamagedRecordingError: a part of a recording is damaged.
        SettingsError: the format is unknown, or its package is not installed.
    """
    if format not in get_args(ExportFormat):
        raise SettingsError(f"the format {format!r} is unknown: choose {', '.join(get_args(ExportFormat))}")
    path = Path(path)
    if path.exists():
        raise RecordingExistsError(f"{path} exists already: choose another file, or remove it")
    unfinished = path.with_name(f"{path.name}.part")
    try:
        try:
            count = _parquet(reader, unfinished) if format == "parquet" else _text(reader, unfinished, format)
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as exc:
        if isinstance(exc, RecordingStorageError):
            raise
        raise storage_error(exc, f"{path} cannot be written") from exc
    return count


def export_lines(reader: Reader, format: Literal["jsonl", "csv"]) -> Iterator[str]:  # noqa: A002  # what users call it
    """Yield recordings as lines of text without line breaks; the first one of CSV is the names of the columns.

    Control characters are escaped, so that no line can drive a terminal; as JSON the contents are the same.
    """
    if format == "jsonl":
        for line in reader.lines():
            yield printable_json(_ENCODER.encode(_exported(line)).decode())
        return
    yield _csv(list(COLUMNS))
    for line in reader.lines():
        yield _csv(["" if cell is None else printable(cell) for cell in _cells(line)])


def _text(reader: Reader, path: Path, format: Literal["jsonl", "csv"]) -> int:  # noqa: A002  # as of its caller
    lines = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in export_lines(reader, format):
            lines += 1
            file.write(f"{line}\n")
    return lines - (format == "csv")


def _parquet(reader: Reader, path: Path) -> int:
    arrow, parquet = _pyarrow()
    text, moment = arrow.string(), arrow.timestamp("us", tz="UTC")
    schema = arrow.schema([(name, moment if name in ("at", "time") else text) for name in COLUMNS])
    lines, count = reader.lines(), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := [(datetime_of(line.at), line.topic, line.time, *_cells(line)[3:]) for line in islice(lines, ROWS_AT_ONCE)]:
            columns = [arrow.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            count += len(rows)
    return count


def _exported(line: Line) -> _Exported:
    return _Exported(datetime_of(line.at), line.topic, line.time, line.source, line.id, line.contents, line.error, line.gap)


def _cells(line: Line) -> list[str | None]:
    """Return the cells of a line, in the order of `COLUMNS`; ``None`` for what it does not have."""
    contents = None if line.contents is msgspec.UNSET else printable_json(_ENCODER.encode(line.contents).decode())
    error, gap = (None if part is None else printable_json(_ENCODER.encode(part).decode()) for part in (line.error, line.gap))
    time = None if line.time is None else line.time.isoformat()
    return [datetime_of(line.at).isoformat(), line.topic, time, line.source, line.id, contents, error, gap]


def _csv(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as exc:
        raise SettingsError("parquet needs the package pyarrow: install notify-workers[parquet], or export as csv or jsonl") from exc
