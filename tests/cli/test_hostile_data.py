"""Every command, over data that would forge lines or drive the terminal: it shows them escaped, and none of them takes it out."""

import io
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import typer.main

import notify
from cli import app as command_line
from cli.start import COMMANDS as LISTED
from notify.testing import PrivateServer, wait_until
from tests.cli.conftest import Shell
from tests.support.hostile import EVIL, JOB, HostileWorld
from tests.support.recordings import event, gap, record
from workers import Queue

EVIL_JOBS = """
import logging
import threading
import warnings
from workers import job

def fail_aside():
    raise ValueError(f"aside {EVIL}")

@job("yard")
def fail():
    logging.getLogger(EVIL).warning(EVIL)
    logging.getLogger("yard").warning("%s", EVIL, exc_info=ValueError(EVIL))
    thread = threading.Thread(target=fail_aside, name=EVIL)
    thread.start()
    thread.join()
    warnings.warn(f"warned {EVIL}", UserWarning)
    logging.getLogger("yard").warning("%d", EVIL)
    raise ValueError(EVIL)
"""
TOPIC = EVIL.replace("[", "")
"""`EVIL` as a topic: with the bracket it is a pattern, which no event is published on."""

ESCAPED = re.compile(r"\\x1b\[2J|\\u001b\[2J")
"""`EVIL`, as it is shown."""
STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""What a terminal gets for colours."""

FILE = EVIL.replace("\0", "")
"""The name of a file, which has no NUL."""

RUN_ON = {
    "monitor": ("sweeping", "\\x1b[2J"),
    "up": ("server at", "\\u001b[2J"),
    "serve storage": ("serving storage", ""),
    "serve thermometer": ("serving thermometer", ""),
    "serve recorder": ("serving recorder", ""),
}
"""Commands that run until they are told to end: what each says when it runs, and what it then shows of `EVIL`."""
COMMANDS: dict[str, list[tuple[list[str], bool]]] = {
    "queues": [([], True)],
    "queues pause": [([EVIL], True)],
    "queues resume": [([EVIL], True)],
    "jobs": [([], True), (["--stuck"], False), (["--sort", "queued"], True), (["--queue", EVIL], True), (["--needs", "svc"], False)],
    "cron": [([], True)],
    **{f"cron {verb}": [([EVIL], True)] for verb in ("pause", "resume", "run")},
    "services": [([], True), (["--provides", EVIL], True), (["--group", EVIL], True)],
    "service show": [(["svc"], True), ([EVIL], True), (["gone"], True)],
    "topics": [([], True)],
    "workers": [([], True)],
    "workers stop": [([EVIL, "--no-wait"], True)],
    "job show": [([f"{JOB}-{status}"], True) for status in ("queued", "started", "failed", "finished", "deferred")] + [([EVIL], True)],
    "job explain": [([f"{JOB}-{status}"], True) for status in ("started", "failed", "canceled")] + [([EVIL], True)],
    "job cancel": [([JOB, "--reason", EVIL], True), (["--all", "--queue", "q0", "--dry-run"], False), (["--all"], False)],
    "job retry": [(["--all"], False), ([f"{JOB}-failed"], False), ([EVIL], True)],
    "job release": [(["--all"], False), ([f"{JOB}-failed"], False), ([EVIL], True)],
    "job delete": [(["--all", "--dry-run"], False), ([EVIL], True)],
    "job wait": [([f"{JOB}-failed"], True), ([EVIL], True)],
    "cancel": [(["--needs", "svc", "--dry-run"], False), (["--needs", EVIL], True), (["--needs", "svc", "--reason", EVIL], False)],
    "kill": [(["svc", "--dry-run"], False), ([EVIL], True), (["svc", "--reason", EVIL], False)],
    "call": [(["svc", EVIL, "--timeout", "0.2"], True), ([EVIL, "f"], True)],
    "enqueue": [([EVIL], True), ([f"workers.{EVIL}"], False), (["workers.temperature.log_temperature", EVIL], False)],
    "publish": [(["topic", EVIL], False), ([EVIL, "1"], False), (["topic", '{"' + EVIL], False)],
    "listen": [(["contents", "error", "text", "--count", "3"], True)],
    "flow run": [([EVIL], True), ([f"{EVIL}.toml"], True), ([f"{EVIL}.py"], True)],
    "flow check": [([EVIL], True), ([f"{EVIL}.toml"], True), ([f"{EVIL}.py"], True)],
    "flow schema": [([], False)],
    "gateway in": [(["--tcp", EVIL, "--topic", "t"], True), (["--tcp", "1", "--topic", "t", "--token-file", EVIL], False)],
    "gateway out": [(["--tcp", EVIL, "--topic", "t"], True), (["--tcp", "0", "--topic", "t", "--allow", EVIL], True)],
    "chat": [([EVIL, "--name", EVIL], False), (["--listen", EVIL], True)],
    "history": [([], False), (["--queue", EVIL], False)],
    "job logs": [([f"{JOB}-failed"], False), ([EVIL], True)],
    "healthcheck worker": [([EVIL], True)],
    "healthcheck service": [([EVIL], False), (["svc"], False), (["nobody"], False)],
    "asyncapi": [([EVIL], True)],
    "spy": [(["--count", "2"], True)],
    "watch": [(["--count", "4"], True)],
    "record topics": [
        (["contents", EVIL, "--output", "new", "--append", "--seconds", "0.05"], True),
        ([EVIL, "--output", FILE, "--since", EVIL], False),
    ],
    "record info": [(["evil"], True), ([FILE], True)],
    "record export": [(["evil", "--csv"], True), (["evil", "--jsonl"], True), (["evil", "--output", FILE], True)],
    "replay": [(["evil", "--into", EVIL], True), (["evil", "--topic", "x"], True), (["evil", "--into", "past", "--speed", "max"], False)],
}
"""Each command with arguments, and whether its output has to show the data (a twin for the test itself)."""
ELSEWHERE = {
    "worker": "test_what_workers_and_jobs_log_is_escaped_and_forges_no_line",
    **dict.fromkeys(RUN_ON, "test_a_command_that_runs_on_shows_hostile_data_escaped"),
    "demo": "it has a namespace of its own",
    "top": "tests/cli/top",
    "doctor": "its exit code says what is wrong; tests/workers/overview/doctor",
    "metrics": "it prints its address; tests/cli/health",
    "web": "test_all_views_of_forged_data_show_it_as_text",
}


class Shown(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def world(bus: notify.Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileWorld]:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "evil", [event({EVIL: EVIL}, topic=EVIL, source=EVIL), event(notify.Failure(EVIL, EVIL)), gap(EVIL)])
    made = HostileWorld(bus)
    yield made
    made.close()


def leaves(group: Any, path: str = "") -> Iterator[str]:
    for name, listed in group.commands.items():
        whole = f"{path} {name}".strip()
        command = listed if path else next(each for each in LISTED if each.name == name).load()
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield whole
        if hasattr(command, "commands"):
            yield from leaves(command, whole)


def shown(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Shown:
    """Run a command in this process, and return what it printed."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace", newline="") for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["notify", *arguments])
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        code = command_line._run()
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]  # it is a BytesIO
    return Shown(code, *texts)


def faults(text: str, *, is_terminal: bool = False) -> list[str]:
    """What a terminal would obey in a text, and the lines that the data forged."""
    if is_terminal:
        text = STYLE.sub("", text)
    found = [repr(letter) for letter in text if not letter.isprintable() and letter not in "\n\t"]
    return found + [repr(line) for line in re.split("[\n\t]", text) if line.startswith("forged")]


def test_every_command_is_in_the_table() -> None:
    assert {*leaves(typer.main.get_command(command_line.app))} == {*COMMANDS} | {*ELSEWHERE}


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_hostile_data_escaped(
    command: str, world: HostileWorld, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_URL", server.url)
    monkeypatch.setenv("COLUMNS", "2000")
    problems = []
    for mode in ("terminal", "pipe", "json"):
        monkeypatch.setenv("FORCE_COLOR", "1" if mode == "terminal" else "")
        for arguments, shows in COMMANDS[command]:
            done = shown(monkeypatch, *command.split(), *arguments, *(["--json"] if mode == "json" else []))
            found = [fault for text in (done.out, done.err) for fault in faults(text, is_terminal=mode == "terminal")]
            found += ["a traceback"] if "Traceback" in done.err else []
            found += ["the data are not shown"] if shows and not ESCAPED.search(done.out + done.err) else []
            found += [f"code {done.code}"] if done.code and not arguments else []
            problems += [f"{mode} {arguments}: {found} in {done}"] if found else []
    assert problems == []


@pytest.mark.any_server
@pytest.mark.parametrize("command", [*RUN_ON, "services --watch"])
def test_a_command_that_runs_on_shows_hostile_data_escaped(shell: Shell, world: HostileWorld, command: str) -> None:
    says, shows = RUN_ON.get(command, ("", "\\x1b[2J"))
    running = shell.start(*command.split(), *(["-n", "1"] if command == "up" else []))
    if says:
        running.said(says)
    world.register("new", 60_000)
    world.bus.publish("topic", EVIL)
    world.bus.directory.kill("new", why=EVIL)
    wait_until(lambda: shows in "".join(running.out + running.err), timeout_s=20, what=f"{shows!r}")
    running.signal(signal.SIGTERM)
    done = running.end()
    assert faults(done.out) + faults(done.err) == []
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("mode", ["pipe", "json"])
def test_listen_shows_the_names_of_hostile_topics_and_gaps_in_them_escaped(
    bus: notify.Bus, server: PrivateServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("NOTIFY_URL", server.url)
    first = bus.publish(TOPIC, {TOPIC: EVIL})
    bus.redis.delete(bus.keys.log(TOPIC))
    bus.publish(TOPIC, EVIL)
    bus.redis.xtrim(bus.keys.log(TOPIC), maxlen=0)
    options = ["--json"] if mode == "json" else []
    for topic, since in {TOPIC: first, EVIL.replace("e", "*"): "start", "*": "start"}.items():  # a name, a pattern without topics, and all
        done = shown(monkeypatch, "listen", topic, "--since", since, "--seconds", "0.3", *options)
        assert (faults(done.out) + faults(done.err), done.code, "Traceback" in done.err) == ([], 0, False), done
        assert ("trimmed" in done.out) == (topic in (TOPIC, "*")), done
        assert re.search(r"(\\x1b|\\u001b)\]0;t", done.out + done.err), done


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("mode", ["pipe", "json"])
def test_the_hostile_reason_of_a_kill_is_shown_escaped_wherever_it_is_told(
    world: HostileWorld, server: PrivateServer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("NOTIFY_URL", server.url)
    world.register("new", 60_000)
    world.bus.directory.kill("new", why=EVIL)
    options = ["--json"] if mode == "json" else []
    for command in (["listen", "*new*", "--since", "start", "--seconds", "0.3"], ["service", "show", "new"]):
        done = shown(monkeypatch, *command, *options)
        assert faults(done.out) + faults(done.err) == []
        assert ESCAPED.search(done.out + done.err), (command, done)


@pytest.mark.any_server
@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_workers_and_jobs_log_is_escaped_and_forges_no_line(shell: Shell, bus: notify.Bus, is_terminal: bool) -> None:
    (shell.folder / "evil_jobs.py").write_text(f"EVIL = {EVIL!a}\n{EVIL_JOBS}")
    queue = Queue("yard", connection=bus.redis)
    job = queue.enqueue("evil_jobs.fail")
    bus.redis.rpush("rq:queue:yard", EVIL)
    bus.redis.hset("rq:job:evil", mapping={"data": msgspec.json.encode([EVIL, None, [], {}]), "origin": "yard", "status": "queued"})
    bus.redis.expire("rq:job:evil", 600)
    bus.redis.rpush("rq:queue:yard", "evil")
    worker = ("worker", "--import", "evil_jobs", "--burst", "-n", "1", "--log-level", "debug")
    text = shell.show(*worker)[1] if is_terminal else shell.run(*worker).err
    assert job.outcome is not None
    assert job.outcome.reason.startswith("ValueError: \x1b]0;t")
    assert len(re.findall(r"\\x1b\[2J", text)) >= 4
    assert all(part in text for part in (r"ValueError: aside \x1b]0;t", r"UserWarning: warned \x1b]0;t", "cannot be logged")), text
    assert faults(text, is_terminal=is_terminal) == []
