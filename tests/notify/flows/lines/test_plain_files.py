"""A plain file at either end of a flow: what is in it is what passed, also when the disk is full in between."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from notify import EndpointError
from notify.flows import Failed, pipeline, read_lines, retry, stage, write_lines

pytestmark = pytest.mark.any_server


def test_a_file_is_read_to_its_end_with_the_last_line_that_has_no_break(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\r\ntwo\n" + b"x" * 40_000 + b"\nlast")
    got: list[Any] = []
    failed: list[Failed] = []
    pipeline(read_lines(tmp_path / "in"), got.append, errors=failed.append).run()
    assert got == ["one", "two", "last"]
    assert "a line of more than 32768 bytes" in str(failed[0].error)


def test_a_copy_of_many_lines_is_the_same(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(50_000))
    (tmp_path / "in").write_text(text)
    pipeline(read_lines(tmp_path / "in"), write_lines(tmp_path / "out")).run()
    assert (tmp_path / "out").read_text() == text


@pytest.mark.parametrize("make", [read_lines, write_lines])
def test_a_file_that_cannot_be_opened_is_an_error_at_the_start(tmp_path: Path, make: Callable[..., Any]) -> None:
    (tmp_path / "folder").mkdir()
    part = make(tmp_path / "none" / "file")
    parts = (part, print) if make is read_lines else (["one"], part)
    with pytest.raises(EndpointError, match="none/file cannot be opened: No such file or directory; check the path"):
        pipeline(*parts).start()


def test_an_item_that_cannot_be_a_line_goes_the_way_of_errors(tmp_path: Path) -> None:
    failed: list[Failed] = []
    pipeline(["one", "two\nlines", {"a": 1}], write_lines(tmp_path / "out"), errors=failed.append).run()
    assert (tmp_path / "out").read_text() == 'one\n{"a":1}\n'
    assert [each.item for each in failed] == ["two\nlines"]


class FullDisk:
    """Writes three bytes and then finds the disk full, as often as it is told."""

    def __init__(self, times: int) -> None:
        self._times, self._write, self._has_written = times, os.write, False

    def __call__(self, file: int, data: Any) -> int:
        if self._times <= 0:
            return self._write(file, data)
        self._has_written = not self._has_written
        if self._has_written:
            return self._write(file, data[:3])
        self._times -= 1
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("append", [True, False])
def test_a_full_disk_leaves_no_half_line_and_an_attempt_later_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, append: bool
) -> None:
    monkeypatch.setattr("notify.flows.lines.plain_file.os.write", FullDisk(2))
    lines = [f"line {number}" for number in range(100)]
    flow = pipeline(lines, stage(write_lines(tmp_path / "out", append=append), on_error=retry(3, 0.01)))
    flow.run()
    assert (tmp_path / "out").read_text().splitlines() == lines


def test_a_full_disk_ends_a_flow_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.flows.lines.plain_file.os.write", FullDisk(99))
    flow = pipeline(["one", "two"], write_lines(tmp_path / "out"))
    with pytest.raises(EndpointError, match="out cannot be written: No space left on device; make room"):
        flow.run()
    assert (tmp_path / "out").read_text() == ""
