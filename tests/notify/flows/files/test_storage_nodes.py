"""Nodes of flow files that read and write files and recordings."""

from pathlib import Path
from typing import Any

import pytest

import notify
from notify import FlowFileError
from notify.flows.files import FlowFile, read_flow_file
from notify.flows.recording import Reader
from notify.testing import wait_until
from tests.support.recordings import START, contents_of, event, gap, items_of, record

pytestmark = pytest.mark.any_server


def no_bus() -> notify.Bus:
    raise AssertionError("the flow needs no bus")


def read(folder: Path, text: str, show: Any = print, bus: Any = no_bus) -> FlowFile:
    path = folder / "flow.toml"
    path.write_text(text.replace("FOLDER", str(folder)))
    return read_flow_file(path, bus=bus, show=show)


def test_a_file_is_read_and_written_by_a_flow_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("one\ntwo\nthree")
    (tmp_path / "out").write_text("before\n")
    text = """
    nodes.in = { kind = "read", path = "FOLDER/in" }
    nodes.out = { kind = "write", path = "FOLDER/out" }
    links = { in = "out" }
    """
    read(tmp_path, text).flow.run()
    assert (tmp_path / "out").read_text() == "before\none\ntwo\nthree\n"
    read(tmp_path, text.replace('/out" }', '/out", append = false }')).flow.run()
    assert (tmp_path / "out").read_text() == "one\ntwo\nthree\n"


def test_M14_events_are_recorded_and_replayed_by_flow_files(tmp_path: Path, bus: notify.Bus) -> None:
    recording = """
    nodes.in = { kind = "subscribe", topics = ["lab.*"] }
    nodes.out = { kind = "record", folder = "FOLDER/r", compression = "none" }
    links = { in = "out" }
    """
    with read(tmp_path, recording, bus=lambda: bus).flow as flow:
        for number in range(3):
            bus.publish(f"lab.{number}", number)
        wait_until(lambda: flow.counters()["out"].taken == 3, what="the events")
    assert contents_of(items_of(Reader(tmp_path / "r"))) == [0, 1, 2]
    got: list[Any] = []
    replaying = """
    nodes.in = { kind = "replay", folders = ["FOLDER/r"], speed = "max", topics = ["lab.1", "lab.2"] }
    nodes.value = { kind = "contents" }
    nodes.out = { kind = "print" }
    links = { in = "value", value = "out" }
    """
    read(tmp_path, replaying, got.append).flow.run()
    assert got == [1, 2]


def test_M14_a_window_of_a_recording_is_replayed_at_a_pace_with_its_gaps(tmp_path: Path) -> None:
    record(tmp_path / "r", [event(0), event(1), gap(), event(2), event(3)], step_s=1.0)
    got: list[Any] = []
    text = f"""
    [nodes]
    in = {{ kind = "replay", folders = ["FOLDER/r"], speed = 50, since = {START:%Y-%m-%dT%H:%M:01.5Z}, until = {START:%Y-%m-%dT%H:%M:05Z} }}
    out = {{ kind = "print", gaps = true }}
    [links]
    in = "out"
    """
    read(tmp_path, text, got.append).flow.run()
    assert contents_of(got) == [1, "trimmed", 2]


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ('kind = "replay"\nfolders = []', "folders"),
        ('kind = "replay"\nfolders = ["r"]\nspeed = 0', "speed"),
        ('kind = "replay"\nfolders = ["r"]\nsince = "soon"', "since"),
        ('kind = "read"', "path"),
    ],
)
def test_a_node_that_cannot_be_is_an_error_with_its_line(tmp_path: Path, node: str, problem: str) -> None:
    with pytest.raises(FlowFileError, match=rf"flow.toml:\d+: nodes.in.*{problem}"):
        read(tmp_path, f'[nodes.in]\n{node}\n[nodes.out]\nkind = "print"\n[links]\nin = "out"\n')


def test_a_flow_is_checked_without_its_recording_and_says_so_when_it_starts(tmp_path: Path) -> None:
    text = """
    nodes.in = { kind = "replay", folders = ["FOLDER/none"] }
    nodes.out = { kind = "print" }
    links = { in = "out" }
    """
    file = read(tmp_path, text)
    with pytest.raises(notify.NoRecordingError, match="none"):
        file.flow.start()
