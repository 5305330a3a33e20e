"""``notify chat``: a server, clients, and an input line that is not overtyped."""

import re
import signal
import sys

import pytest

from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support.commands import Command
from tests.support.hostile import EVIL
from tests.support.peers import peer

pytestmark = pytest.mark.any_server


def served(shell: Shell) -> tuple[Command, str, str]:
    """Start a chat server at free ports. Returns it, and the ports to listen and to talk at."""
    server = shell.start("chat", "--listen", "0", "--talk", "0")
    server.said("chat: listen at")
    listen, talk = re.findall(r":(\d+)", next(line for line in server.err if "chat: listen at" in line))
    return server, listen, talk


def join(shell: Shell, listen: str, talk: str, name: str) -> Command:
    client = shell.start("chat", "localhost", "--listen", listen, "--talk", talk, "--name", name)
    client.said("chatting by")
    return client


def until_heard(talker: Command, *listeners: Command) -> None:
    """Talk until each listener hears it: one may be connected and not accepted yet."""

    def is_heard() -> bool:
        talker.type("is anybody there?\n")
        return all(listener.out for listener in listeners)

    wait_until(is_heard, timeout_s=10, what="the first line")


def hears(listener: Command, line: str) -> None:
    wait_until(lambda: f"{line}\n" in listener.out, timeout_s=10, what=line)


def test_K12_each_line_of_a_talker_reaches_all_listeners(alone: Shell) -> None:
    server, listen, talk = served(alone)
    ada, grace = join(alone, listen, talk, "ada"), join(alone, listen, talk, "grace")
    until_heard(ada, ada, grace)
    ada.type("hello\n\n")
    grace.type("goodbye\n")
    for client in (ada, grace):
        hears(client, "ada: hello")
        hears(client, "grace: goodbye")
    for client in (ada, grace):
        client.stdin.close()
        assert client.end().code == 0
        assert all(re.match("(ada|grace): .", line) for line in client.out)
    server.signal(signal.SIGTERM)
    assert server.end().code == 0


def test_K12_what_comes_is_printed_above_the_line_that_is_typed(alone: Shell) -> None:
    _, listen, talk = served(alone)
    grace = join(alone, listen, talk, "grace")
    arguments = ("chat", "localhost", "--listen", listen, "--talk", talk, "--name", "ada")
    ada = alone.start_on_terminal(*arguments, PROMPT_TOOLKIT_NO_CPR="1")
    try:
        ada.until("ada>")
        until_heard(grace, grace)
        wait_until(lambda: "grace: is anybody there?" in ada.shown, timeout_s=10, what="the first line")
        ada.type("half a li")
        ada.until("half a li")
        grace.type("coming through\n")
        ada.until("grace: coming through")
        wait_until(lambda: "half a li" in ada.shown.rpartition("coming through")[2], timeout_s=10, what="the typed line, drawn again")
        ada.type("ne\r")
        hears(grace, "ada: half a line")
        ada.type("\x04")
    finally:
        ada.signal(signal.SIGTERM)
        code = ada.end()
    assert code == 0


TWIN = """
import os, threading
from prompt_toolkit import PromptSession
from notify.testing import wait_until
def print_plainly():
    wait_until(lambda: os.path.exists("go"), timeout_s=20)
    os.write(1, b"grace: coming through\\r\\n")
threading.Thread(target=print_plainly, daemon=True).start()
print("typed", PromptSession("ada> ").prompt())
"""


def test_K12_twin_a_plain_print_leaves_the_typed_line_behind(alone: Shell) -> None:
    ada = alone.start_program_on_terminal(sys.executable, "-c", TWIN, PROMPT_TOOLKIT_NO_CPR="1")
    try:
        ada.until("ada>")
        ada.type("half a li")
        ada.until("half a li")
        (alone.folder / "go").touch()
        ada.until("coming through")
        ada.type("n")
        wait_until(lambda: "n" in ada.shown.rpartition("coming through")[2], timeout_s=10, what="the next letter")
        assert "half a li" not in ada.shown.rpartition("coming through")[2]
        ada.type("e\r")
        ada.until("typed half a line")
    finally:
        ada.signal(signal.SIGTERM)
        ada.end()


def test_hostile_lines_are_shown_escaped(alone: Shell) -> None:
    _, listen, talk = served(alone)
    ada = join(alone, listen, talk, "ada")
    until_heard(ada, ada)
    with peer(int(talk)) as stranger:
        stranger.send(EVIL.replace("\n", "") + "\n", b"\xff\xfe\x1b[2J\n", "last\n")
        hears(ada, "last")
    assert [line for line in ada.out if not line.rstrip("\n").isprintable()] == []


def test_a_client_that_nobody_serves_ends_with_an_error_or_waits_if_it_is_to(alone: Shell) -> None:
    done = alone.run("chat", "nowhere.invalid")
    assert done.code == 1
    assert "the host 'nowhere.invalid' is unknown" in done.err.splitlines()[-1]
    done = alone.run("chat", "localhost", "--listen", "1", "--talk", "1", stdin="hello\n")
    assert done.code == 1
    assert "nothing listens there: start the server, or check the port" in done.err.splitlines()[-1]
    waiting = alone.start("chat", "localhost", "--listen", "1", "--talk", "1", "--name", "ada", "--wait")
    waiting.said("chatting by")
    waiting.interrupt()
    assert waiting.end().code == 130


def test_a_terminal_without_prompt_toolkit_names_the_extra(alone: Shell) -> None:
    (alone.folder / "prompt_toolkit.py").write_text("raise ImportError\n")
    path = f"{alone.folder}:{alone.environ['PYTHONPATH']}"
    code, shown = alone.show("chat", "localhost", PYTHONPATH=path)
    assert code == 2
    assert "pip install 'notify-workers[chat]'" in shown
