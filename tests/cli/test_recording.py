"""``notify record`` and ``notify replay``: into a folder, out of it, and what is told when that cannot be (M14)."""

import csv
import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import notify
from cli.app import app
from notify.flows.recording import Reader
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.commands import NOTIFY
from tests.support.recordings import START, contents_of, data_file, event, gap, items_of, record

Connect = Callable[..., notify.Bus]
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(shell: Shell) -> Path:
    """A recording of five seconds, one event each, and a gap."""
    items = [event(number, topic="ab"[number % 2]) for number in range(1, 6)]
    return record(shell.folder / "rec", [*items, gap("a")], step_s=1, flush_every=2)


class Text(str):
    """Equal to each text that is a part of it: of an error, the words that matter."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other in self


@pytest.fixture
def here(shell: Shell, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Run a command in this process, in the folder of the shell. Returns exit code, stdout and stderr."""
    monkeypatch.chdir(shell.folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*arguments, "--url", server.url])
        return done.exit_code, done.stdout, Text(done.stderr)

    return run


def recorded(path: Path) -> list[Any]:
    return contents_of(items_of(Reader(path)))


def test_M14_topics_are_recorded_until_ctrl_c_and_replayed_into_another_namespace(
    shell: Shell, bus: notify.Bus, connect_to: Connect, server: Any
) -> None:
    recording = shell.start("record", "lab.*", "x", "-o", "rec")
    recording.said("recording lab.*, x on")
    recording.said("no event on x yet")
    bus.publish("lab.a", {"n": 1})
    bus.publish("x", ValueError("wrong"))
    recording.interrupt()
    done = recording.end()
    assert (done.code, done.out) == (130, "")
    assert "2 events" in done.err.splitlines()[-1]
    with connect_to(server, namespace="past").subscribe("*") as events:
        done = shell.run("replay", "rec", "--into", "past", "--speed", "max", "--json")
        got: list[Any] = [events.get(5), events.get(5)]
    assert (done.code, done.records[0]["events"], done.records[0]["namespace"]) == (0, 2, "past")
    assert [(item.topic, item.contents) for item in got] == [("lab.a", {"n": 1}), ("x", notify.Failure("ValueError", "wrong"))]


@pytest.mark.parametrize("words", [["record"], ["record", "topics"], ["--json", "record", "--namespace", "n"]])
def test_the_word_topics_may_be_left_out(shell: Shell, words: list[str]) -> None:
    assert shell.run(*words, "t", "-o", "rec", "--seconds", "0.05").code == 0
    assert Reader(shell.folder / "rec").headers[0].topics == ("t",)


def test_recording_ends_after_exactly_so_many_events_or_at_sigterm(shell: Shell, bus: notify.Bus) -> None:
    for number in range(10):
        bus.publish("t", number)
    assert shell.run("record", "t", "-o", "rec", "--since", "start", "--count", "4").code == 0
    assert recorded(shell.folder / "rec") == [0, 1, 2, 3]
    recording = shell.start("record", "t", "-o", "rec", "--append")
    recording.said("recording t")
    bus.publish("t", 10)
    recording.signal(signal.SIGTERM)
    assert recording.end().code == 0
    assert recorded(shell.folder / "rec") == list(range(11))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["t", "-o", "rec"], 1, "holds a recording already: choose another folder, or append"),
        (["t", "-o", "."], 1, "holds something else than a recording"),
        (["t", "-o", "notes.txt/rec"], 1, "cannot be written (Not a directory)"),
        (["t", "-o", "/proc/rec"], 1, "cannot be written"),
        (["t", "-o", "new", "--compress", "zip"], 2, "choose none, gzip, zstd"),
        (["t", "-o", "new", "--since", "yesterday"], 2, "give the id of an event"),
        (["", "-o", "new"], 2, "a topic cannot be empty"),
        (["t", "-o", "rec", "--append"], 1, "continue it with the same topics"),
        (["t"], 2, "--output"),
    ],
)
@pytest.mark.usefixtures("_signals")
def test_a_folder_or_option_that_cannot_be_used_is_told(here: Here, folder: Path, arguments: list[str], code: int, message: str) -> None:
    (folder.parent / "notes.txt").write_text("mine")
    assert here("record", *arguments, "--seconds", "0.1") == (code, "", message)
    assert len(recorded(folder)) == 6


def test_a_full_disk_is_told_with_the_remedy_and_append_goes_on_complete(shell: Shell, bus: notify.Bus) -> None:
    """The limit for the size of files is that of the operating system, as a full disk is."""
    program = ["python", "-c", _LIMITED, "record", "t", "-o", "rec", "--since", "start", "--compress", "none", "--seconds", "20"]
    for number in range(300):
        bus.publish("t", [number, "x" * 1000])
    done = shell.start_program(*program).end()
    assert done.code == 1
    assert "(File too large): raise the limit for the size of files" in done.err
    assert "not written" in done.err
    before = recorded(shell.folder / "rec")
    assert [number for number, _ in before] == list(range(len(before)))
    assert len(before) < 300
    assert shell.run("record", "t", "-o", "rec", "--append", "--count", str(300 - len(before))).code == 0
    assert [number for number, _ in recorded(shell.folder / "rec")] == list(range(300))


UNSHARE = ("unshare", "--mount", "--map-root-user")
_LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (280_000, 280_000))
from notify_workers import main
main()
"""


@pytest.mark.slow
def test_M14_a_disk_that_is_really_full_loses_nothing_in_silence(shell: Shell, bus: notify.Bus) -> None:
    """On a file system of 512 KiB in memory, mounted in a namespace of its own."""
    for number in range(1000):
        bus.publish("t", [number, "x" * 1000])
    inner = f"mount -t tmpfs -o size=512k tmpfs disk && {' '.join(NOTIFY)} record t -o disk/rec --since start --compress none; code=$?; "
    inner += "cp -r disk/rec saved; exit $code"
    (shell.folder / "disk").mkdir()
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a file system; the test before shows the same by a limit")
    done = shell.start_program(*UNSHARE, "sh", "-c", inner).end(timeout_s=30)
    assert done.code == 1
    assert "No space left on device" in done.err
    assert "free some space on the disk" in done.err
    before = [number for number, _ in recorded(shell.folder / "saved")]
    assert before == list(range(len(before)))
    assert 100 < len(before) < 520


def test_M14_a_recording_is_shown_with_its_topics_and_damages(shell: Shell, folder: Path) -> None:
    done = shell.run("record", "info", "rec")
    assert done.code == 0
    assert done.lines[-2:] == ["topic\ta\t2 events\t1 gap", "topic\tb\t3 events"]
    (shown,) = shell.run("record", "info", "rec", "--json").records
    assert (shown["events"], shown["gaps"], shown["namespace"], shown["damages"]) == (5, 1, "notify", [])
    assert shown["topics"]["a"] == {"events": 2, "gaps": 1}
    assert "redis" not in json.dumps(shown)
    file = data_file(folder)
    file.write_bytes(file.read_bytes()[:-10] + bytes(10))
    done = shell.run("record", "info", "rec", "--check")
    assert done.code == 1
    assert done.lines[-1].endswith("the checksum of a block is wrong, 2 events are missing")


def test_M14_recordings_are_exported_to_stdout_and_to_files(shell: Shell, folder: Path) -> None:
    rows = shell.run("record", "export", "rec", "--topic", "b", "--from", "+1", "--to", (START + timedelta(seconds=5)).isoformat()).records
    assert [row["contents"] for row in rows] == [3]
    table = list(csv.DictReader(shell.run("record", "export", "rec", "--csv").lines))
    assert [row["contents"] for row in table] == ["1", "2", "3", "4", "5", ""]
    done = shell.run("record", "export", "rec", "--parquet", "-o", "out.parquet")
    assert (done.code, done.out) == (0, "6 events and gaps in out.parquet\n")
    assert shell.run("record", "export", "rec", "--parquet").code == 2
    refused = shell.run("record", "a", "-o", "rec")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1), "a recording that cannot start tells no numbers"
    assert shell.run("record", "export", "rec", "--csv", "--jsonl").code == 2
    assert shell.run("record", "export", "rec", "-o", "out.parquet").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rec"], 2, "are from the namespace 'notify' and would mix with live ones"),
        (["rec", "--into", "p", "--from", "+3", "--to", "+2"], 2, "give an end after its begin"),
        (["rec", "--into", "p", "--from", "noon"], 2, "'noon' is no time"),
        (["rec", "--into", "p", "--speed", "fast"], 2, "such as 2 or 0.5, or max"),
        (["rec", "--into", "p", "--speed", "0"], 2, "or no pauses at all (speed=None, --speed max)"),
        (["rec", "--into", "p", "--topic", "c"], 1, "no event on 'c' was recorded: there are 'a', 'b'"),
        (["rec", "--into", "p", "--pause-at", "+1"], 2, "needs a terminal"),
        (["rec", "--into", "a b"], 2, "give a name without spaces"),
        (["nowhere", "--into", "p"], 1, "there is no folder nowhere"),
        (["notes", "--into", "p"], 1, "holds no recording"),
        ([], 2, "missing argument"),
    ],
)
@pytest.mark.usefixtures("_signals")
def test_what_cannot_be_replayed_is_told(here: Here, folder: Path, arguments: list[str], code: int, message: str) -> None:
    (folder.parent / "notes").mkdir()
    assert here("replay", *arguments) == (code, "", message)


def test_a_damaged_recording_is_replayed_as_far_as_it_is_whole_and_beyond_if_asked(shell: Shell, folder: Path) -> None:
    file = data_file(folder)
    blocks = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    data = bytearray(file.read_bytes())
    data[blocks[1]["offset"] + 12] ^= 255
    file.write_bytes(data)
    done = shell.run("replay", "rec", "--into", "p", "--speed", "max", "--json")
    assert (done.code, done.records[0]["events"]) == (1, 2)
    assert "restore the file from a copy, or read the rest" in done.err
    done = shell.run("replay", "rec", "--into", "p", "--speed", "max", "--json", "--skip-damaged")
    assert (done.code, done.records[0]["events"], done.records[0]["missing"]) == (0, 3, 2)


def test_M14_keys_pause_step_and_end_a_replay_on_a_terminal(shell: Shell, folder: Path, connect_to: Connect, server: Any) -> None:
    with connect_to(server, namespace="past").subscribe("*") as events:
        running = shell.start_on_terminal("replay", "rec", "--into", "past", "--pause-at", "+1", "--speed", "20")
        running.until("paused")
        first: Any = events.get(5)
        assert first.contents == 1
        assert events.get(0.2) is None
        running.type("s")
        second: Any = events.get(5)
        assert second.contents == 2
        assert events.get(0.2) is None
        running.type(" ")
        rest: list[Any] = [events.get(5) for _ in range(3)]
        assert [item.contents for item in rest] == [3, 4, 5]
        assert running.end() == 0
    assert "5 events in" in running.shown
    assert "1 gap" in running.shown


def test_a_loop_goes_on_until_it_is_interrupted(shell: Shell, folder: Path, connect_to: Connect, server: Any) -> None:
    with connect_to(server, namespace="past").subscribe("a") as events:
        running = shell.start("replay", "rec", "--into", "past", "--loop", "--speed", "1000")
        got: list[Any] = [events.get(10) for _ in range(5)]
        running.interrupt()
        done = running.end()
    assert [item.contents for item in got] == [2, 4, 2, 4, 2]
    assert done.code == 130
    assert "events in" in done.err.splitlines()[-1]
