"""``notify flow``: flows from TOML and Python files, run, checked and drawn."""

import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import notify
from notify.flows import TCPServer, pipeline
from notify.server import process_name
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support.hostile import EVIL

pytestmark = pytest.mark.any_server

LINES = """
[nodes]
in = { kind = "items", items = ["one", "two"] }
out = { kind = "print" }
[links]
in = "out"
"""
COPY = """
name = "copying"
[nodes]
in = { kind = "subscribe", topics = ["t"] }
value = { kind = "contents" }
out = { kind = "print" }
[links]
in = "value"
value = "out"
[service]
provides = ["copies"]
needs = ["storage"]
"""
PYTHON = """
from notify.flows import FlowProgram, contents, pipeline, publish_to, subscribe_to

plain = pipeline(["a", "b"], print, name="plain")

def flow(bus):
    return pipeline(subscribe_to(bus, "t"), contents, publish_to(bus, "u"), name="relay")

def served(bus):
    return FlowProgram(bus, flow(bus), name="served", provides={"relays"})

def failing():
    return pipeline([1, 0], lambda number: 1 / number, print)

def odd(bus):
    return 5
"""


@pytest.fixture
def write(alone: Shell) -> Callable[..., str]:
    def write(name: str, text: str) -> str:
        (alone.folder / name).write_text(text)
        return name

    return write


def test_a_file_without_topics_needs_no_server(alone: Shell, write: Callable[..., str]) -> None:
    done = alone.run("flow", "run", write("lines.toml", LINES))
    assert done == (0, "one\ntwo\n", "running the flow lines\n")


def test_the_items_are_json_lines_if_asked_for(alone: Shell, write: Callable[..., str]) -> None:
    done = alone.run("flow", "run", write("lines.toml", LINES), "--json")
    assert [msgspec.json.decode(line) for line in done.out.splitlines()] == [{"item": "one"}, {"item": "two"}]


def test_progress_shows_the_counters_of_each_node(alone: Shell, write: Callable[..., str]) -> None:
    lines = alone.run("flow", "run", write("lines.toml", LINES), "--progress").err.splitlines()
    assert lines[1].startswith("in: 0 in, 2 out, busy for ")
    assert lines[2].startswith("out: 2 in, 0 out")
    _, shown = alone.show("flow", "run", "lines.toml", "--progress")
    assert "busy_ms" in shown
    assert shown.index("one\n") < shown.rindex("busy_ms"), "what is printed stands above the table"


def test_a_service_of_a_file_waits_for_what_it_needs(shell: Shell, bus: notify.Bus, write: Callable[..., str]) -> None:
    running = shell.start("flow", "run", write("copy.toml", COPY))
    running.said("the flow 'copying' is held: storage is not there")
    assert bus.directory.find(provides="copies").name == "copying"
    bus.publish("t", 1)
    assert running.out == []
    with bus.service("storage"):
        bus.publish("t", 2)
        assert running.printed(2) == ["1\n", "2\n"]
        running.signal(signal.SIGTERM)
        assert running.end().code == 0
        assert "copying" not in bus.directory


def test_a_service_of_a_file_is_killed_as_any_other(shell: Shell, bus: notify.Bus, write: Callable[..., str]) -> None:
    running = shell.start("flow", "run", write("copy.toml", COPY.replace('needs = ["storage"]', "")))
    running.said("running the flow copying")
    bus.directory.kill("copying", why="enough")
    done = running.end()
    assert done.code == 5
    assert done.err.splitlines()[-1] == f"notify: copying killed: enough (by process {process_name()})"


@pytest.mark.parametrize(("given", "service"), [("relay.py", False), ("relay.py:served", True), ("relay", False)])
def test_a_python_file_or_module_has_a_flow(shell: Shell, bus: notify.Bus, write: Callable[..., str], given: str, service: bool) -> None:
    write("relay.py", PYTHON)
    with bus.subscribe("u") as events:
        running = shell.start("flow", "run", given)
        running.said("running the flow relay")
        assert ("served" in bus.directory) == service
        bus.publish("t", 7)
        event = events.get(10)
        assert isinstance(event, notify.Event)
        assert event.contents == 7
        running.signal(signal.SIGTERM)
        assert running.end().code == 0


def test_ctrl_c_ends_a_flow_with_130(shell: Shell, bus: notify.Bus, write: Callable[..., str]) -> None:
    write("relay.py", PYTHON)
    running = shell.start("flow", "run", "relay.py")
    running.said("running the flow relay")
    running.interrupt()
    assert running.end().code == 130


@pytest.mark.parametrize(
    ("given", "code", "problem"),
    [
        ("relay.py:failing", 1, "the flow 'failing' has failed: ZeroDivisionError: division by zero"),
        ("relay.py:odd", 2, "relay.py: 'odd' is of the type int"),
        ("relay.py:none", 2, "relay.py defines no 'none'"),
        ("bad.py", 2, "bad.py:2: ModuleNotFoundError: No module named 'nowhere'"),
        ("syntax.py", 2, "syntax.py:1: "),
        ("nowhere.py", 2, "nowhere.py cannot be read"),
        ("nowhere.toml", 2, "nowhere.toml cannot be read"),
        ("nowhere", 2, "nowhere: ModuleNotFoundError"),
        ("cycle.toml", 2, "cycle.toml:7: links.in: the links make a cycle"),
        ("odd/file.txt", 2, "odd/file.txt cannot be read"),
    ],
)
def test_a_file_without_a_flow_is_one_line_on_stderr(alone: Shell, write: Callable[..., str], given: str, code: int, problem: str) -> None:
    write("relay.py", PYTHON)
    write("bad.py", "\nimport nowhere\n")
    write("syntax.py", "flow = (\n")
    write("cycle.toml", LINES.replace("[links]\n", "[links]\nout = 'in'\n"))
    done = alone.run("flow", "run", given)
    assert done.code == code
    problems = [line for line in done.err.splitlines() if not line.startswith("running")]
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_flow_is_drawn_without_a_server(alone: Shell, write: Callable[..., str]) -> None:
    done = alone.run("flow", "check", write("copy.toml", COPY), NOTIFY_URL="redis://localhost:1")
    assert done == (0, "in (SubscribeTo)\n└── value (contents)\n    └── out (print)\n", "")
    write("relay.py", PYTHON)
    assert alone.run("flow", "check", "relay.py:served").out.startswith("SubscribeTo\n└── contents\n")
    record = msgspec.json.decode(alone.run("flow", "check", "copy.toml", "--json").out)
    assert record["nodes"] == ["in", "value", "out"]
    assert record["links"][0] == {"start": "in", "outlet": "out", "end": "value"}


def test_the_schema_is_a_table_or_a_json_schema(alone: Shell) -> None:
    assert "demux\tclassify=null,outlets=null,patterns=null" in alone.run("flow", "schema").out
    assert "FlowFile" in msgspec.json.decode(alone.run("flow", "schema", "--json").out)["$defs"]


def test_hostile_items_are_printed_escaped(alone: Shell, write: Callable[..., str]) -> None:
    items = msgspec.json.encode([EVIL]).decode()
    write("evil.py", f"import json\nfrom notify.flows import pipeline\nitems = json.loads({items!r})\n")
    text = '[nodes]\nin = { kind = "function", call = "evil:items" }\nout = { kind = "print" }\nlinks.in = "out"\n'
    text = text.replace('links.in = "out"', '[links]\nin = "out"')
    done = alone.run("flow", "run", write("evil.toml", text), "--progress")
    assert done.code == 0
    assert done.out.replace("\n", "").isprintable()
    assert len(done.out.splitlines()) == 1


def test_a_port_in_use_names_line_and_key(alone: Shell, write: Callable[..., str], tmp_path: Path) -> None:
    server = TCPServer(0)
    with pipeline(server, print):
        text = LINES.replace('{ kind = "print" }', f'{{ kind = "tcp_server", port = {server.port} }}')
        done = alone.run("flow", "run", write("port.toml", text))
    assert done.code == 1
    assert f"port.toml:4: nodes.out.port: 127.0.0.1:{server.port} cannot be listened at" in done.err
    wait_until(lambda: not alone.processes, what="the end")


def test_where_a_flow_listens_is_told(alone: Shell, write: Callable[..., str]) -> None:
    python = "from notify.flows import TCPServer, pipeline\nflow = pipeline(TCPServer(0), print, name='ports')\n"
    running = alone.start("flow", "run", write("ports.py", python))
    running.said("running the flow ports, TCPServer listens at 127.0.0.1:")
    running.signal(signal.SIGTERM)
    done = running.end()
    assert (done.code, done.err.rpartition(":")[2].strip() not in ("", "0")) == (0, True)
