"""A file that grows as a source: rotation, truncation, and a file that is not there yet."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notify import EndpointError, SettingsError, WiringError
from notify.flows import Failed, Flow, follow_file, pipeline
from notify.flows.framing import LineFraming
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "log.txt").write_text("old\n")
    return tmp_path / "log.txt"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def following(path: Path, got: list[Any], failed: list[Failed] | None = None, **options: Any) -> Flow:
    return pipeline(follow_file(path, poll_s=0.005, **options), got.append, errors=None if failed is None else failed.append)


def arrived(got: list[Any], *lines: str) -> None:
    wait_until(lambda: got == list(lines), what=f"{lines}; there are {got}")


def test_K14_what_is_appended_to_a_file_comes_in_whole_lines(path: Path) -> None:
    got: list[str] = []
    with following(path, got):
        append(path, "one\ntw")
        arrived(got, "one")
        append(path, "o\nthree\n")
        arrived(got, "one", "two", "three")


def test_K14_a_file_may_be_read_from_its_start(path: Path) -> None:
    got: list[str] = []
    with following(path, got, from_start=True):
        arrived(got, "old")


def test_K14_a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_start(path: Path) -> None:
    got: list[str] = []
    with path.open("a") as writer, following(path, got):
        append(path, "one\n")
        arrived(got, "one")
        path.rename(path.with_suffix(".1"))
        writer.write("two, by a writer that has the old file open\n")
        writer.flush()
        path.write_text("three\n")
        arrived(got, "one", "two, by a writer that has the old file open", "three")
        path.rename(path.with_suffix(".2"))
        append(path.with_suffix(".2"), "four\n")
        append(path, "five\n")
        arrived(got, "one", "two, by a writer that has the old file open", "three", "four", "five")


def test_K14_a_truncated_file_is_read_from_its_start(path: Path) -> None:
    got: list[str] = []
    failed: list[Failed] = []
    with following(path, got, failed):
        append(path, "one\nhalf a li")
        arrived(got, "one")
        path.write_text("two\n")
        arrived(got, "one", "two")
    assert [each.item for each in failed] == [b"half a li"]


def test_K14_a_reader_that_keeps_its_place_loses_what_is_written_after_a_truncation(path: Path) -> None:
    """The twin: a reader that only reads on."""
    with path.open() as reader:
        reader.seek(0, os.SEEK_END)
        path.write_text("two")
        assert reader.readlines() == []


def test_a_file_that_does_not_exist_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got: list[str] = []
    with following(tmp_path / "new.txt", got):
        assert "does not exist yet, and is waited for" in caplog.text
        (tmp_path / "new.txt").write_text("one\n")
        arrived(got, "one")


def test_a_line_that_is_too_long_is_left_out_and_told(path: Path) -> None:
    got: list[str] = []
    failed: list[Failed] = []
    with following(path, got, failed, framing=LineFraming(max_bytes=10)):
        append(path, "one\n" + "x" * 50)
        wait_until(lambda: len(failed) == 1, what="the failure")
        append(path, "x" * 50 + "\ntwo\n" + "y" * 20 + "\nthree\n")
        arrived(got, "one", "two", "three")
    assert [each.item[:3] for each in failed] == [b"xxx", b"yyy"]
    assert "more than 10 bytes" in str(failed[0].error)


def test_without_an_error_outlet_what_cannot_be_used_is_counted_and_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got: list[Any] = []
    with following(path, got, framing="json") as flow:
        append(path, "no json\n" * 10 + '{"a": 1}\n')
        wait_until(lambda: got == [{"a": 1}], what="the good line")
        assert flow.counters()["FollowedFile"].dropped == 10
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_a_file_that_cannot_be_read_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="cannot be read: Is a directory; check the path"):
        following(tmp_path, []).start()
    with pytest.raises((WiringError, SettingsError), match="poll_s"):
        follow_file("x", poll_s=0)


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["append", "half", "rotate"]), max_size=12))
def test_K14_each_line_comes_once_and_in_order_over_any_rotations(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    folder = tmp_path_factory.mktemp("rotations")
    path = folder / "log.txt"
    path.touch()
    got: list[str] = []
    number, is_half = 0, False
    with following(path, got):
        for step in [*steps, "append"]:
            if step == "append":
                append(path, f"{'' if is_half else number}.\n")
                number, is_half = number + 1, False
            elif step == "half" and not is_half:
                append(path, f"{number}")
                is_half = True
            elif step == "rotate" and not is_half:
                arrived(got, *(f"{each}." for each in range(number)))  # a file that is gone before it was seen is not read
                path.rename(folder / f"log.{number}.{len(list(folder.iterdir()))}")
                path.touch()
        arrived(got, *(f"{each}." for each in range(number)))
