"""``notify publish`` and ``notify listen``."""

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import notify
from cli.app import app
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.commands import NOTIFY


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("21.5", 21.5),
        ('"21.5"', "21.5"),
        ("21 °C", "21 °C"),
        ("nearly {json", "nearly {json"),
        ("", ""),
    ],
)
def test_contents_are_json_or_else_text(server: PrivateServer, bus: notify.Bus, text: str, contents: Any) -> None:
    with bus.subscribe("a topic, ☃") as events:
        done = CliRunner().invoke(app, ["publish", "a topic, ☃", text, "--url", server.url])
        event = events.get(5)
    assert isinstance(event, notify.Event)
    assert event.contents == contents
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{event.id}\n", "")


@pytest.mark.parametrize("text", ['{"a": 1', "[1, 2", ' {"a": NaN}', '"21.5', '{"a": 1} x', "[" * 20_000])
def test_contents_that_look_like_broken_json_are_sent_as_text_and_that_is_told(server: PrivateServer, bus: notify.Bus, text: str) -> None:
    with bus.subscribe("t") as events:
        done = CliRunner().invoke(app, ["publish", "t", text, "--url", server.url])
        event = events.get(5)
        refused = CliRunner().invoke(app, ["publish", "t", text, "--strict", "--url", server.url])
        assert events.get(0.05) is None
    assert isinstance(event, notify.Event)
    assert event.contents == text
    assert done.exit_code == 0
    assert re.fullmatch(r"sent as text; it is no JSON: [^\n]+ \(--strict refuses such contents\)\n", done.stderr)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--strict accepts nothing else" in re.sub(r"[│\s]+", " ", refused.stderr)


def test_strict_publishes_json_only(server: PrivateServer, bus: notify.Bus) -> None:
    assert CliRunner().invoke(app, ["publish", "t", '{"a": 1}', "--strict", "--url", server.url]).exit_code == 0
    assert CliRunner().invoke(app, ["publish", "t", "text", "--strict", "--url", server.url]).exit_code == 2
    assert CliRunner().invoke(app, ["publish", "t", "text", "--url", server.url]).stderr == ""


def test_a_published_event_as_json_is_its_topic_and_id(shell: Shell) -> None:
    (record,) = shell.run("publish", "topic", "1", "--json").records
    assert record["topic"] == "topic"
    assert re.fullmatch(r"\d+-\d+@\w+", record["id"])


def test_each_line_of_stdin_is_published_as_soon_as_it_is_there(shell: Shell, bus: notify.Bus, collect: Callable[..., Any]) -> None:
    with bus.subscribe("lines") as events:
        publishing = shell.start("publish", "lines")
        publishing.type("\n \t\r\n")  # blank lines are skipped
        for number, line in enumerate(["1", "zwölf\r", "[1]"], 1):
            publishing.type(line + "\n")
            publishing.printed(number)
        publishing.type("the end")
        publishing.stdin.close()
        done = publishing.end()
        received = collect(events, 4)
    assert [event.contents for event in received] == [1, "zwölf", [1], "the end"]
    assert done.code == 0
    assert done.lines == [event.id for event in received]


def test_a_line_that_is_not_utf8_is_named_and_those_before_it_are_published(shell: Shell) -> None:
    done = shell.start_program("sh", "-c", r"printf 'fine\n\377\n' | python -m cli publish lines").end()
    assert done.code == 2
    assert len(done.lines) == 1
    assert "line 2 of stdin" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("strict", "code", "lines"), [(True, 2, 1), (False, 0, 3)])
def test_a_line_of_stdin_that_is_no_json_is_named(shell: Shell, strict: bool, code: int, lines: int) -> None:
    done = shell.run("publish", "topic", *(["--strict"] if strict else []), stdin='{"a": 1}\n\n{"a": \n3\n')
    assert (done.code, len(done.lines)) == (code, lines)
    assert "line 3 of stdin is no JSON" in done.err


def test_a_person_who_gives_no_contents_is_not_kept_waiting(shell: Shell) -> None:
    code, shown = shell.show("publish", "topic")
    assert code == 2
    assert "contents" in shown


def test_contents_that_are_too_large_are_refused_with_the_limit(shell: Shell) -> None:
    done = shell.run("publish", "topic", "x" * 70_000)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "65536" in done.err


def test_a_retained_event_reaches_who_comes_later_until_it_is_dropped(shell: Shell, bus: notify.Bus) -> None:
    assert shell.run("publish", "topic", "kept", "--retain", "60").code == 0
    assert 0 < bus.redis.ttl(bus.keys.retained("topic")) <= 60
    assert shell.run("listen", "topic", "--count", "1").out.endswith("\ttopic\tkept\n")
    assert shell.run("publish", "topic", "gone", "--retain", "0").code == 0
    assert not bus.redis.exists(bus.keys.retained("topic"))


def test_what_is_heard_is_a_line_of_time_topic_and_contents(shell: Shell, bus: notify.Bus) -> None:
    listening = shell.start("listen", "temp*", "storage_status", "--count", "3")
    listening.said("listening to temp*, storage_status")
    bus.publish("unheard", 0)
    bus.publish("temperature", {"celsius": 21})
    bus.publish("storage_status", KeyError("no key"))
    bus.redis.publish("notify:event:temperature", "by hand")
    done = listening.end()
    assert done.code == 0
    assert re.sub(r"^\d\d:\d\d:\d\d\.\d\d\dZ\t", "", done.out, flags=re.MULTILINE).splitlines() == [
        'temperature\t{"celsius":21}',
        "storage_status\tKeyError: 'no key'",
        "temperature\tby hand",
    ]


def test_what_is_heard_as_json_is_an_object_a_line(shell: Shell, bus: notify.Bus) -> None:
    listening = shell.start("--json", "listen", "-c", "2")
    listening.said("listening to *")
    event_id = bus.publish("topic", {"a": 1})
    bus.publish("topic", ValueError("wrong"))
    first, second = listening.end().records
    assert (first["topic"], first["contents"], first["id"], first["source"]) == ("topic", {"a": 1}, event_id, "test")
    assert second["error"] == {"type": "ValueError", "message": "wrong", "fatal": False}


def test_listening_ends_after_some_seconds(shell: Shell) -> None:
    done = shell.run("listen", "--seconds", "0.05")
    assert (done.code, done.out) == (0, "")


def test_ctrl_c_ends_listening_without_a_word(shell: Shell) -> None:
    listening = shell.start("listen")
    listening.said("listening to *")
    listening.interrupt()
    done = listening.end()
    assert (done.code, done.out, done.err.count("\n")) == (130, "", 1)


@pytest.mark.parametrize("signals", [[signal.SIGINT] * 3, [signal.SIGTERM], [signal.SIGHUP]])
def test_however_listening_ends_the_private_server_is_stopped(alone: Shell, signals: list[signal.Signals]) -> None:
    listening = alone.start("listen")
    listening.said("listening to *")
    assert any("redis.sock" in command for command in alone.processes.values())
    for signum in signals:
        listening.signal(signum)
    done = listening.end()
    assert (done.code, done.err.count("\n")) == (130 if signal.SIGINT in signals else 0, 1)
    assert not alone.processes


def test_who_reads_the_output_may_leave(shell: Shell, bus: notify.Bus) -> None:
    listening = shell.start_program("bash", "-c", f"set -o pipefail; {' '.join(NOTIFY)} listen topic | head -1")
    listening.said("listening")
    bus.publish("topic", 1)
    listening.printed()
    bus.publish("topic", 2)
    done = listening.end()
    assert (done.code, len(done.lines), done.err.count("\n")) == (0, 1, 1)


def test_listening_goes_on_when_the_server_was_killed_and_came_back(alone: Shell, own_server: PrivateServer) -> None:
    listening = alone.start("listen", "topic", "--json", NOTIFY_URL=own_server.url)
    listening.said("listening")
    with notify.connect(own_server.url) as bus:
        bus.publish("topic", "before")
        listening.printed(1)
        own_server.kill()
        own_server.restart()
    with notify.connect(own_server.url) as bus:
        bus.publish("topic", "after")
        lines = listening.printed(2)
    assert [json.loads(line).get("contents") for line in lines] == ["before", "after"]
    listening.interrupt()
    done = listening.end()
    assert done.code == 130
    assert "Traceback" not in done.err


def test_cloudevents_are_published_once_and_heard_as_such(shell: Shell, bus: notify.Bus) -> None:
    one = '{"specversion": "1.0", "id": "1", "source": "/desk", "type": "com.example.sold", "data": {"count": 2}}'
    done = shell.run("publish", "sales", "--format", "cloudevents", stdin=f"{one}\n{one}\n")
    assert (done.code, len(set(done.lines))) == (0, 1)
    (heard,) = shell.run("listen", "sales", "--since", "start", "--count", "1", "--format", "cloudevents").records
    assert (heard["specversion"], heard["type"], heard["source"], heard["data"]) == ("1.0", "sales", "/desk", {"count": 2})
    refused = shell.run("publish", "sales", '{"id": "1"}', "--format", "cloudevents")
    assert (refused.code, "no CloudEvent" in refused.err) == (1, True)
