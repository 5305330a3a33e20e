"""Data on stdout and messages on stderr: plain lines, JSON lines, and the output on a terminal."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import notify
from cli.output import Output
from notify import Event, Failure, Gap
from tests.cli.conftest import Shell

TIME = datetime(2017, 11, 7, 13, 8, 21, 500_000, tzinfo=UTC)
STORAGE: dict[str, Any] = {"name": "storage", "provides": ["retrieve", "store"], "pid": None}
CLOCK: dict[str, Any] = {"name": "clock", "provides": [], "pid": 7}
COLUMNS = ("name", "provides", "pid")


def said(capsys: pytest.CaptureFixture[str], item: Event | Gap, *, as_json: bool = False) -> str:
    Output(as_json=as_json).item(item)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    return out.rstrip("\n")


def test_elsewhere_than_on_a_terminal_a_table_is_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(COLUMNS, [STORAGE, CLOCK], empty="nothing")
    assert capsys.readouterr() == ("storage\tretrieve,store\t\nclock\t\t7\n", "")


def test_as_json_a_table_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).table(COLUMNS, [STORAGE, CLOCK], empty="nothing")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [STORAGE, CLOCK]


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b31m", "\u202egnp", "\U000e0041", "a\nb\tc", "\x7f"])
def test_json_stays_json_and_holds_no_character_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str], hostile: str) -> None:
    Output(as_json=True).table(["name"], [{"name": hostile}], empty="nothing")
    line = capsys.readouterr().out.removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line) == {"name": hostile}


@pytest.mark.parametrize("as_json", [False, True])
def test_an_empty_table_is_empty(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    Output(as_json=as_json).table(COLUMNS, [], empty="nothing")
    assert capsys.readouterr() == ("", "")


def test_talk_goes_to_stderr_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).talk("[bold]:smile: " + "x" * 300)
    assert capsys.readouterr() == ("", "[bold]:smile: " + "x" * 300 + "\n")


@pytest.mark.parametrize(
    ("contents", "shown"),
    [
        ("the temperature is 20°C", "the temperature is 20°C"),
        ({"a": [1, None, "é"]}, '{"a":[1,null,"é"]}'),
        ("", ""),
        (None, "null"),
        ("[red]:smile:", "[red]:smile:"),
        ("two\nlines", '"two\\nlines"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ({"a": "\x9bred"}, '{"a":"\\u009bred"}'),
        (Failure("KeyError", "no\nkey"), '"KeyError: no\\nkey"'),
    ],
)
def test_an_event_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str], contents: Any, shown: str) -> None:
    assert said(capsys, Event(topic="topic", contents=contents, time=TIME)) == f"13:08:21.500Z\ttopic\t{shown}"


def test_an_event_as_json_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    event = Event(topic="a\ttopic", contents={"a": "\n"}, time=TIME, source="me", id="1-0@e")
    told = {"topic": "a\ttopic", "time": "2017-11-07T13:08:21.500000+00:00", "source": "me", "id": "1-0@e", "contents": {"a": "\n"}}
    assert json.loads(said(capsys, event, as_json=True)) == told


def test_an_error_as_json_is_no_contents(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, Event(topic="topic", contents=Failure("KeyError", "no key", fatal=True)), as_json=True))
    assert told["error"] == {"type": "KeyError", "message": "no key", "fatal": True}
    assert "contents" not in told


def test_a_gap_is_loud(capsys: pytest.CaptureFixture[str]) -> None:
    gap = Gap("topic", "trimmed", "1-0", "2-0")
    assert said(capsys, gap) == "GAP in topic: events after 1-0 are missing (trimmed)"
    assert json.loads(said(capsys, gap, as_json=True)) == {"gap": "topic", "reason": "trimmed", "first": "1-0", "last": "2-0"}


def test_data_are_utf8_in_any_locale(shell: Shell, bus: notify.Bus) -> None:
    bus.publish("☃", "é", retain_s=60)
    listening = shell.run("listen", "☃", "--count", "1", LANG="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert listening.code == 0
    assert listening.out.endswith("\t☃\té\n")


def test_on_a_terminal_a_table_has_a_bold_header_and_no_tabs(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage", provides={"store", "retrieve"}):
        code, shown = shell.show("services")
        header, row = shown.splitlines()
        assert code == 0
        assert "\x1b[1mname" in header
        assert row.split()[:2] == ["storage", "alive"]
        assert "retrieve, store" in row
        assert "\t" not in shown


def test_a_terminal_gets_contents_as_they_are(shell: Shell, bus: notify.Bus) -> None:
    bus.publish("topic", "[bold]:smile:[/bold] C:\\temp", retain_s=60)
    assert "[bold]:smile:[/bold] C:\\temp\n" in shell.show("listen", "topic", "--count", "1")[1]


def test_no_color_is_honoured(shell: Shell, bus: notify.Bus) -> None:
    bus.publish("topic", ValueError("red otherwise"), retain_s=60)
    listen = ("listen", "topic", "--count", "1")
    assert "\x1b[31m" in shell.show(*listen)[1]
    assert "\x1b[3" not in shell.show(*listen, NO_COLOR="1")[1]


def test_on_a_narrow_terminal_words_stay_whole_and_what_has_no_room_is_named(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("notification-manager-with-a-long-name", provides={"register_publisher", "subscribe"}):
        _, shown = shell.show("services", columns=92)
        assert "notification-manager-with-a-long-name" in shown
        assert "register_publisher" in shown
        assert "…" not in shown
        assert "no room for " in shown
        assert "host, pid: widen the terminal, or use --json" in " ".join(shown.split())
        assert "no room" not in shell.show("services", columns=200)[1]


def test_on_a_terminal_json_stays_json(shell: Shell, bus: notify.Bus) -> None:
    with bus.service("storage"):
        assert json.loads(shell.show("services", "--json", columns=40)[1])["name"] == "storage"


def test_on_a_terminal_that_lacks_letters_they_are_spelled(shell: Shell, bus: notify.Bus) -> None:
    bus.publish("topic", "☃", retain_s=60)
    code, shown = shell.show("listen", "topic", "--count", "1", PYTHONIOENCODING="ascii")
    assert code == 0
    assert "\\u2603" in shown
