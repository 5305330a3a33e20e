"""``notify doctor``: the report, its exit codes, and its JSON."""

import re

import pytest

import notify
from cli.health import examining
from tests.cli.conftest import Shell
from tests.support.sample_jobs import add
from workers import Queue


def test_it_reports_each_thing_that_it_looked_at(shell: Shell, bus: notify.Bus) -> None:
    done = shell.run("--json", "doctor")
    assert set(done.records[0]) == {"name", "level", "what", "remedy"}
    names = [record["name"] for record in done.records]
    assert {"latency", "version", "persistence", "rights", "queues", "services", "cron", "libraries"} <= set(names)
    assert "0 errors" in done.err
    assert done.code == 0


def test_an_error_ends_it_with_1_and_says_what_to_do(shell: Shell, bus: notify.Bus) -> None:
    Queue("yard", connection=bus.redis).enqueue(add)
    done = shell.run("doctor", "--quiet")
    assert done.code == 1
    assert [line.split("\t")[:2] for line in done.lines if line.startswith("error")] == [["error", "queues"]]
    assert "start one: notify worker yard" in done.lines[-1]
    assert "1 error," in done.err


def test_warnings_end_it_with_1_only_if_they_are_to(shell: Shell, bus: notify.Bus) -> None:
    bus.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert shell.run("doctor", "-q").code == 0
        assert shell.run("doctor", "-q", "--strict").code == 1
    finally:
        bus.redis.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_does_not_answer_is_an_error_of_the_report(alone: Shell) -> None:
    done = alone.run("--json", "--url", "unix:///nowhere.sock", "doctor")
    assert done.code == 1
    (record,) = done.records
    assert (record["name"], record["level"]) == ("server", "error")
    assert "no answer from unix:///nowhere.sock" in record["what"]
    assert "check that the server runs" in record["remedy"]


@pytest.mark.any_server
def test_a_terminal_shows_the_remedy_below(shell: Shell, bus: notify.Bus) -> None:
    Queue("yard", connection=bus.redis).enqueue(add)
    code, shown = shell.show("doctor")
    assert code == 1
    assert "error    queues: 1 job waits on 'yard'" in shown
    assert "→ start one: notify worker yard" in shown
    assert set(examining.STYLES) == {"ok", "note", "warning", "error"}


def test_what_is_not_there_is_not_counted(shell: Shell) -> None:
    what = {record["name"]: record["what"] for record in shell.run("--json", "doctor").records}
    assert (what["runs"], what["services"], what["cron"]) == ("no job runs", "no service is registered", "there is no recurring job")
    assert re.search(r"answers in \d+\.\d\d ms$", what["latency"])
