"""Fixtures for the command line: each command runs in a process of its own, in a clean environment, and leaves nothing behind."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import notify
from cli.start import SIGNALS
from notify.server.binary import find_server_binary
from notify.testing import PrivateServer, private_server, wait_until
from tests.support.commands import NOTIFY, WAIT_S, Command, Done, TerminalCommand, on_terminal, processes_of

PASSWORD = "s3cret"


class Shell:
    """Runs commands in a folder with an environment, as the shell of a user.

    Keyword arguments change the environment for one command; ``None`` removes a variable.
    """

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = environ
        self.folder = folder
        self._started: list[Command] = []

    def run(self, *arguments: str, stdin: str = "", **environ: str | None) -> Done:
        """Run ``notify`` with the arguments, and wait for its end."""
        command = self.start(*arguments, **environ)
        command.type(stdin)
        command.stdin.close()
        return command.end(timeout_s=30)

    def start(self, *arguments: str, **environ: str | None) -> Command:
        """Start ``notify`` with the arguments."""
        return self.start_program(*NOTIFY, *arguments, **environ)

    def start_program(self, *command: str, **environ: str | None) -> Command:
        self._started.append(Command(command, environ=self._with(environ), cwd=self.folder))
        return self._started[-1]

    def show(self, *arguments: str, columns: int = 120, **environ: str | None) -> tuple[int, str]:
        """Run ``notify`` on a terminal. Returns the exit code and the text on the terminal."""
        return on_terminal([*NOTIFY, *arguments], environ=self._with(environ), cwd=self.folder, columns=columns)

    def start_on_terminal(self, *arguments: str, **environ: str | None) -> TerminalCommand:
        """Start ``notify`` on a terminal."""
        return self.start_program_on_terminal(*NOTIFY, *arguments, **environ)

    def start_program_on_terminal(self, *command: str, **environ: str | None) -> TerminalCommand:
        return TerminalCommand(command, environ=self._with(environ), cwd=self.folder)

    @property
    def processes(self) -> dict[int, str]:
        """All processes that this shell started, with their command lines. Linux only."""
        return processes_of(self.environ["NOTIFY_TEST_MARK"], self.environ["NOTIFY_HOME"])

    def close(self) -> None:
        for command in self._started:
            command.dispose()
        try:
            wait_until(lambda: not self.processes, timeout_s=WAIT_S)
        except TimeoutError:
            left = self.processes
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"processes were left behind: {left}") from None

    def _with(self, changes: dict[str, str | None]) -> dict[str, str]:
        return {name: value for name, value in {**self.environ, **changes}.items() if value is not None}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for a private server, with the short path that a socket needs."""
    folder = Path(tempfile.mkdtemp(prefix="notify-cli-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def alone(home: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell without settings: ``notify`` runs on a private server in ``home``."""
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "NOTIFY_HOME": str(home),
        "NOTIFY_SERVER": os.environ.get("NOTIFY_SERVER", ""),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),  # the tests are for this checkout, even if another one is installed
        "NOTIFY_TEST_MARK": secrets.token_hex(8),
        "SPT_NOENV": "1",  # or process titles would overwrite the mark
    }
    shell = Shell(environ, tmp_path)
    yield shell
    shell.close()
    assert not (home / "redis.sock").exists(), "the private server was not stopped in order"


@pytest.fixture
def shell(alone: Shell, server: PrivateServer, bus: notify.Bus) -> Iterator[Shell]:
    """A shell with the server of ``bus`` in $NOTIFY_URL."""
    alone.environ["NOTIFY_URL"] = server.url
    yield alone
    alone.close()  # before the fixture ``bus`` checks the keys


@pytest.fixture
def url_with_password() -> Iterator[str]:
    """The URL of a server that requires `PASSWORD`."""
    with private_server() as running:
        with redis.Redis.from_url(running.url) as client:
            client.config_set("requirepass", PASSWORD)
        yield running.url.replace("unix://", f"unix://:{PASSWORD}@")


class SlowServer:
    """A server that answers soon, while its start takes long: the process that starts it has to wait."""

    def __init__(self, folder: Path) -> None:
        self.path, self.launched, self.may_go_on = folder / "slow-server", folder / "launched", folder / "may-go-on"
        self._home = folder / "server-home"
        lines = [
            f'for option; do [ "$before" = --dir ] && echo "$option" > {self._home}; before="$option"; done',
            f'{find_server_binary(os.environ)} "$@"',
            f"while [ ! -S $(cat {self._home})/redis.sock ]; do sleep 0.01; done",
            f"touch {self.launched}",
            f"while [ ! -e {self.may_go_on} ]; do sleep 0.01; done",
        ]
        self.path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        self.path.chmod(0o700)

    @property
    def is_running(self) -> bool:
        return bool(processes_of(str(self.path), self._home.read_text().strip()))


@pytest.fixture
def slow_server(tmp_path: Path) -> SlowServer:
    return SlowServer(tmp_path)


@pytest.fixture
def _signals() -> Iterator[None]:
    """Restore the signal handlers after the test."""
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)
