"""``notify top`` on a terminal: three sizes, a new size, signals, no colour, no terminal, and without Textual."""

import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import notify
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.commands import NOTIFY, TerminalCommand

pytestmark = [pytest.mark.any_server, pytest.mark.slow]

WITHOUT = "import sys; sys.modules['textual'] = None; from cli.__main__ import main; sys.argv = ['notify', 'top']; main()"
FAULTY = """
import sys
from cli.top import {module}

def fail(*_, **__):
    token = "a secret in a variable"
    raise ZeroDivisionError("by zero")

{module}.{name} = fail
from cli.__main__ import main
sys.argv = ["notify", *{options}, "top"]
main()
"""
LEAVES = "\x1b[?1049l"
"""Gives the screen back as it was before."""
COLOUR = re.compile(r"\x1b\[[0-9;]*?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


def top(server: PrivateServer, environ: Mapping[str, str], **size: int) -> TerminalCommand:
    running = TerminalCommand([*NOTIFY, "top"], environ={**environ, "NOTIFY_URL": server.url}, cwd=Path.cwd(), **size)
    running.until("overview")
    running.until("no worker runs")
    return running


def ends(running: TerminalCommand) -> int:
    """Wait for the end. Return the exit code; the terminal is as it was before."""
    code = running.end()
    assert LEAVES in running.shown
    assert "Traceback" not in running.shown
    return code


@pytest.mark.parametrize(("columns", "rows"), [(40, 12), (80, 24), (160, 50)])
def test_it_shows_the_pages_at_any_size_and_ends_with_q(
    server: PrivateServer, bus: notify.Bus, shell: Shell, columns: int, rows: int
) -> None:
    with bus.service("storage"):
        running = top(server, shell.environ, columns=columns, rows=rows)
        running.type("4")
        running.until("storage")
        running.resize(100, 30)
        running.type("5")
        running.until("subscribers")
        running.type("q")
        assert ends(running) == 0


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_a_signal_ends_it_and_gives_the_terminal_back(server: PrivateServer, shell: Shell, signum: signal.Signals, code: int) -> None:
    running = top(server, shell.environ, columns=80)
    running.signal(signum)
    assert ends(running) == code


def test_ctrl_c_ends_it(server: PrivateServer, shell: Shell) -> None:
    running = top(server, shell.environ, columns=80)
    running.type("\x03")
    assert ends(running) == 0


def test_it_ends_while_the_server_is_away_and_gives_the_terminal_back(own_server: PrivateServer, shell: Shell) -> None:
    running = top(own_server, shell.environ, columns=120)
    own_server.kill()
    running.until("waiting for the server")
    running.resize(40, 10)
    running.type("k")  # there is no row, and nothing to ask
    running.type("\x03")
    assert ends(running) == 0


@pytest.mark.parametrize("plain", [True, False])
def test_without_colours_it_shows_the_same(server: PrivateServer, bus: notify.Bus, shell: Shell, plain: bool) -> None:
    environ = {name: value for name, value in shell.environ.items() if name != "NO_COLOR"} | ({"NO_COLOR": "1"} if plain else {})
    running = top(server, environ, columns=80)
    running.type("q")
    assert ends(running) == 0
    assert (COLOUR.search(running.shown) is None) == plain


def test_elsewhere_than_on_a_terminal_it_names_the_other_commands(shell: Shell) -> None:
    done = shell.run("top")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "notify: notify top needs a terminal: elsewhere use notify queues, jobs, workers, services and topics, with --json\n"
    )


def test_without_textual_it_says_what_to_install(server: PrivateServer, shell: Shell) -> None:
    running = TerminalCommand(
        [sys.executable, "-c", WITHOUT], environ={**shell.environ, "NOTIFY_URL": server.url}, cwd=Path.cwd(), columns=120
    )
    assert running.end() == 2
    assert "notify: notify top needs Textual: pip install 'notify-workers[top]'" in running.shown
    assert "Traceback" not in running.shown


@pytest.mark.parametrize(("module", "name"), [("reading", "Reader.read"), ("view", "View.on_mount")])
def test_an_error_that_nobody_expected_is_one_line_and_code_1(server: PrivateServer, shell: Shell, module: str, name: str) -> None:
    """In the thread that reads, or in the view itself."""
    for options in ([], ["--log-level", "DEBUG"]):
        program = FAULTY.format(module=module, name=name, options=options)
        environ = {**shell.environ, "NOTIFY_URL": server.url}
        running = TerminalCommand([sys.executable, "-c", program], environ=environ, cwd=Path.cwd(), columns=120)
        assert running.end() == 1
        assert LEAVES in running.shown
        said = running.shown.rpartition(LEAVES)[2]
        assert "notify: notify top has failed: ZeroDivisionError: by zero" in said
        assert "a secret" not in said.replace('token = "a secret in a variable"', "")
        assert ("Traceback" in said) == bool(options)
