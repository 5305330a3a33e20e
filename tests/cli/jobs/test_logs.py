"""``notify job logs``, and the options of the log that every command has."""

import json
from pathlib import Path

import notify
from tests.cli.conftest import Shell
from tests.support.logging_jobs import tell
from workers import Queue

MODULE = "tests.support.logging_jobs"
ROOT = str(Path(__file__).parents[3])


def test_it_shows_what_a_job_has_logged_and_follows_it(shell: Shell, bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    job = queue.enqueue(tell, "one", "two\x1b[31m")
    following = shell.start("--json", "job", "logs", "-f", job.id)
    worker = shell.start("worker", "--import", MODULE, "--number", "1", "--job-logs", "info", "--log-format", "json", PYTHONPATH=ROOT)
    done = following.end(timeout_s=30)
    assert [record["message"] for record in done.records] == ["one", "two\x1b[31m", "quietly"]
    assert {record["attempt"] for record in done.records} == {1}
    assert (done.code, "\x1b" in done.out) == (0, False)
    plain = shell.run("job", "logs", job.id)
    assert [line.split("\t")[1:] for line in plain.lines] == [
        ["WARNING", "one"],
        ["WARNING", '"two\\u001b[31m"'],
        ["INFO", "quietly"],
    ]
    job.delete()
    assert shell.run("job", "logs", job.id).lines == plain.lines, "the lines are kept for longer than the job"
    worker.interrupt()
    lines = [json.loads(line) for line in worker.end().err.splitlines()]
    assert any(line.get("job") == job.id and line["message"] == "one" for line in lines)
    assert any(line["message"].startswith("1 worker on work") for line in lines)


def test_a_job_without_lines_says_what_it_needs(shell: Shell, bus: notify.Bus) -> None:
    job = Queue("work", connection=bus.redis).enqueue(tell)
    done = shell.run("job", "logs", job.id)
    assert (done.code, done.out) == (0, "")
    assert "--job-logs" in done.err
    done = shell.run("job", "logs", "nobody")
    assert (done.code, "no job nobody" in done.err) == (1, True)


def test_messages_of_any_command_are_json_if_that_is_wanted(shell: Shell, bus: notify.Bus) -> None:
    assert bus.topics() == []
    for arguments, environ in (
        (("job", "--log-format", "json", "show", "nobody"), {}),
        (("job", "show", "nobody"), {"NOTIFY_LOG_FORMAT": "json"}),
    ):
        done = shell.run(*arguments, **environ)
        (line,) = [json.loads(line) for line in done.err.splitlines()]
        assert (done.code, line["level"], line["logger"]) == (1, "ERROR", "notify")
        assert "no job nobody" in line["message"]


def test_wrong_values_are_wrong_usage(shell: Shell) -> None:
    done = shell.run("topics", "--log-format", "xml")
    assert (done.code, "--log-format" in done.err) == (2, True)
    done = shell.run("topics", NOTIFY_LOG_LEVEL="loud")
    assert (done.code, "$NOTIFY_LOG_LEVEL is 'loud': give DEBUG, INFO, WARNING, ERROR" in done.err) == (2, True)


def test_the_level_of_a_command_shows_more(shell: Shell) -> None:
    (shell.folder / "shop.py").write_text("import logging\nlogging.getLogger('shop').info('it is loaded')\n")
    assert shell.run("asyncapi", "shop").err == ""
    for options, environ in ((["--log-level", "info"], {}), ([], {"NOTIFY_LOG_LEVEL": "debug"})):
        done = shell.run("asyncapi", "shop", *options, **environ)
        assert (done.code, "INFO shop: it is loaded\n" in done.err) == (0, True)
