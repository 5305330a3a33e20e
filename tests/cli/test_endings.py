"""How commands end by signals and by output that cannot be written: the same for all of them."""

import os
import signal

import pytest

import notify
from tests.cli.conftest import Shell

pytestmark = pytest.mark.any_server

RUNNING_ON = {
    "listen": "listening to",
    "spy": "spying on",
    "watch": "watching",
    "monitor": "sweeping",
    "serve storage": "serving storage",
    "serve thermometer": "serving thermometer",
    "serve recorder": "serving recorder",
    "worker -n 1": "1 worker on",
    "up -n 1": "Ctrl-C stops all",
}
"""Commands that run until they are told to end, and what they say when they do."""
SHORT = ("services", "topics", "queues", "jobs", "cron", "workers", "publish topic 1", "job show nope", "kill nobody", "call nobody x")
CODES = {"job show nope": 1, "kill nobody": 1, "call nobody x": 1}


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
@pytest.mark.parametrize("command", RUNNING_ON)
def test_a_command_that_runs_on_ends_as_it_is_told(shell: Shell, bus: notify.Bus, command: str, signum: signal.Signals, code: int) -> None:
    running = shell.start(*command.split())
    running.said(RUNNING_ON[command])
    running.signal(signum)
    done = running.end()
    assert done.code == code, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_another_command_was_not_done(shell: Shell, bus: notify.Bus, signum: signal.Signals, code: int) -> None:
    publishing = shell.start("publish", "topic")  # it waits for lines on stdin
    publishing.type("1\n")
    publishing.printed()
    publishing.signal(signum)
    done = publishing.end()
    assert (done.code, done.err) == (code, "")


@pytest.mark.parametrize("command", [*RUNNING_ON, *SHORT, "demo", "enqueue a.b", "cancel --needs a"])
def test_ctrl_c_during_the_imports_of_any_command_is_no_traceback(shell: Shell, command: str) -> None:
    (shell.folder / "typer.py").write_text("import signal; print('importing', flush=True); signal.pause()")
    path = os.pathsep.join(filter(None, [str(shell.folder), shell.environ["PYTHONPATH"]]))
    starting = shell.start(*command.split(), PYTHONPATH=path)
    starting.printed()
    starting.interrupt()
    assert starting.end() == (130, "importing\n", "")


@pytest.mark.parametrize(("command", "code"), [("worker", 0), ("--json worker", 0), ("top", 0), ("jobs", 143), ("enqueue worker", 143)])
def test_sigterm_during_the_imports_of_a_command_ends_it_as_later(shell: Shell, command: str, code: int) -> None:
    """The twins are commands that were not done."""
    (shell.folder / "rq.py").write_text("import signal; print('importing', flush=True); signal.pause()")
    path = os.pathsep.join(filter(None, [str(shell.folder), shell.environ["PYTHONPATH"]]))
    starting = shell.start(*command.split(), PYTHONPATH=path)
    starting.printed()
    starting.signal(signal.SIGTERM)
    assert starting.end() == (code, "importing\n", "")


@pytest.mark.parametrize("command", [*SHORT, "--version", "-h", "worker -h", "--json services", "frobnicate"])
@pytest.mark.parametrize("to", ["> /dev/full", "2> /dev/full", "2>&1 | true"])
def test_output_that_cannot_be_written_is_no_traceback(shell: Shell, bus: notify.Bus, command: str, to: str) -> None:
    done = shell.start_program("bash", "-c", f"set -o pipefail; python -m cli {command} {to}").end()
    assert done.code in (0, 1, 2)
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err
    if to.startswith("2>") and "|" not in to:
        assert done.code == CODES.get(command, 2 if command == "frobnicate" else 0)


@pytest.mark.parametrize("command", ["publish topic 1", "--version", "-h", "worker -h"])
def test_what_was_not_written_is_code_1_and_one_line(shell: Shell, bus: notify.Bus, command: str) -> None:
    done = shell.start_program("bash", "-c", f"python -m cli {command} > /dev/full").end()
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "No space left" in done.err
