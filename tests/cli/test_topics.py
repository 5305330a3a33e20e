"""``notify publish``, ``listen``, ``topics`` and ``spy``, each run in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.faults import trim

TIMEOUT_S = 20


@pytest.fixture
def environ(server) -> dict[str, str]:
    return {**os.environ, "NOTIFY_URL": server.url, "NO_COLOR": "1"}


@pytest.fixture
def run(environ) -> Callable[..., str]:
    """Run a command to its end, and return what it printed."""

    def run(*arguments: str, status: int = 0, stdin: str = "") -> str:
        command = [sys.executable, "-m", "cli", *arguments]
        done = subprocess.run(command, env=environ, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


@pytest.fixture
def running(environ) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a command in the background; it ends with the test."""
    started = []

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "cli", *arguments]
        started.append(subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _lines(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_S16_topics_are_listed_line_by_line_and_as_json(bus, run):
    assert run("topics") == ""
    bus.publish("b", 1)
    bus.publish("a", 1)
    bus.publish("a", 2)
    with bus.subscribe("a"):
        rows = _lines(run("topics"))
        records = [json.loads(line) for line in run("topics", "--json").splitlines()]
    assert [(row[0], row[3], row[4]) for row in rows] == [("a", "2", "1"), ("b", "1", "0")]
    assert [(record["topic"], record["log_length"], record["subscribers"]) for record in records] == [("a", 2, 1), ("b", 1, 0)]
    assert [record["last"] for record in records] == [row[5] for row in rows]


def test_S16_a_spy_sees_all_traffic_with_source_and_id_and_what_is_published_by_hand(bus, running):
    spy = running("spy", "--count", "3")
    assert spy.stderr.readline().startswith("spying on unix://")
    event_id = bus.publish("a", {"n": 1})
    bus.redis.publish(bus.keys.channel("b"), "hello")
    bus.publish("c", ValueError("bad"))
    output, _ = spy.communicate(timeout=TIMEOUT_S)
    assert spy.returncode == 0
    assert [row[1:] for row in _lines(output)][:2] == [["a", "test", event_id, '{"n":1}'], ["b", "-", "by hand", "hello"]]
    assert _lines(output)[2][-1] == "ValueError: bad"


def test_S16_listening_since_the_start_prints_what_was_and_ends_after_the_count(bus, run):
    ids = [bus.publish("t", number) for number in range(3)]
    assert [row[1:] for row in _lines(run("listen", "t", "--since", "start", "--count", "2"))] == [["t", "0"], ["t", "1"]]
    records = [json.loads(line) for line in run("listen", "t", "--since", ids[0], "--count", "2", "--json").splitlines()]
    assert [(record["id"], record["contents"]) for record in records] == [(ids[1], 1), (ids[2], 2)]


def test_S16_a_key_publishes_once_and_prints_the_same_id_twice(bus, run):
    first = run("publish", "t", '{"n": 1}', "--key", "k")
    assert run("publish", "t", '{"n": 2}', "--key", "k") == first
    assert run("listen", "t", "--since", "start", "--count", "1").rstrip().endswith('\t{"n":1}')
    assert bus.redis.xlen(bus.keys.log("t")) == 1


def test_S16_a_key_without_contents_is_refused(bus, run):
    assert "--key is for a single event" in run("publish", "t", "--key", "k", status=2, stdin="1\n2\n")
    assert bus.topics() == []


def test_S16_a_gap_is_printed_loudly_and_does_not_count_as_an_event(bus, run):
    ids = [bus.publish("t", number) for number in range(3)]
    trim(bus, "t", keep=1)
    gap, event = run("listen", "t", "--since", ids[0], "--count", "1").splitlines()
    assert gap == f"GAP in t: events after {ids[0]} are missing (trimmed)"
    assert event.endswith("\tt\t2")
    record = json.loads(run("listen", "t", "--since", ids[0], "--count", "1", "--json").splitlines()[0])
    assert record == {"gap": "t", "reason": "trimmed", "first": ids[0], "last": ids[1]}


@pytest.mark.parametrize(("topics", "problem"), [(["t"], "since is 'yesterday'"), (["t", "u"], "one id is a position in one topic")])
def test_S16_what_is_no_position_is_refused_without_a_traceback(bus, run, topics, problem):
    assert problem in run("listen", *topics, "--since", "yesterday", status=2)
