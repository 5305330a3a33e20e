"""Runs the real ``notify`` command in tests: to its end, in the background, or on a terminal."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from notify.testing import wait_until

WAIT_S = 20.0
NOTIFY = (sys.executable, "-m", "cli")


class Done(NamedTuple):
    """Exit code and output of a command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def records(self) -> list[Any]:
        """The JSON lines on stdout, decoded."""
        return [json.loads(line) for line in self.lines]


class Command:
    """A running command. Threads read its output all the time."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # A process group of its own, as in a shell: Ctrl-C reaches the whole group.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self.stdin = self._process.stdin
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [self._read(self._process.stdout, self.out), self._read(self._process.stderr, self.err)]

    @property
    def pid(self) -> int:
        return self._process.pid

    def printed(self, count: int = 1, *, timeout_s: float = WAIT_S) -> list[str]:
        """Wait for ``count`` lines on stdout, and return them."""
        self._wait(lambda: len(self.out) >= count, f"line {count} of {self.out}", timeout_s)
        return self.out[:count]

    def said(self, text: str, *, timeout_s: float = WAIT_S) -> None:
        """Wait until ``text`` is on stderr."""
        self._wait(lambda: any(text in line for line in self.err), f"{text!r} on stderr", timeout_s)

    def type(self, text: str) -> None:
        self.stdin.write(text)
        self.stdin.flush()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to this process only."""
        self._process.send_signal(signum)

    def interrupt(self) -> None:
        """Press Ctrl-C: the whole process group gets SIGINT."""
        os.killpg(self.pid, signal.SIGINT)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, *, timeout_s: float = WAIT_S) -> Done:
        """Wait until the command has ended."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the command does not end; stdout: {self.out}, stderr: {self.err}") from None
        self._close()
        return Done(code, "".join(self.out), "".join(self.err))

    def dispose(self) -> None:
        """End the command, whatever its state."""
        if not self.ended:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close()

    def _wait(self, condition: Any, what: str, timeout_s: float) -> None:
        wait_until(lambda: condition() or self.ended, timeout_s=timeout_s, what=what)
        if self.ended:
            self._close()
            assert condition(), f"the command ended with {self._process.returncode} before {what}; stderr: {''.join(self.err)}"

    def _close(self) -> None:
        with suppress(BrokenPipeError):  # the command ended first
            self.stdin.close()
        for reader in self._readers:
            reader.join(WAIT_S)

    def _read(self, stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        def read() -> None:
            assert stream is not None
            with stream:
                lines.extend(iter(stream.readline, ""))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


class TerminalCommand:
    """A running command on a terminal. A thread reads what the terminal receives."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, columns: int = 200, rows: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command, env={"TERM": "xterm-256color", **environ}, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._bytes = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """The text that the terminal has received."""
        return self._bytes.decode(errors="replace").replace("\r\n", "\n")

    def until(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        try:
            wait_until(lambda: text in self.shown, timeout_s=WAIT_S, what=repr(text))
        except TimeoutError:
            raise AssertionError(f"{text!r} is not on the terminal: {self.shown}") from None

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal, and tell the command."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.signal(signal.SIGWINCH)

    def signal(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def end(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        code = self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        os.close(self._ours)
        return code

    def _read(self) -> None:
        with suppress(OSError):  # Linux reports the end of the output as an error
            while chunk := os.read(self._ours, 65536):
                self._bytes += chunk


def on_terminal(command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, columns: int) -> tuple[int, str]:
    """Run a command on a terminal of that width. Returns the exit code and the text that the terminal received."""
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            command, env={"TERM": "xterm-256color", **environ}, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # Linux reports the end of the output as an error
            while chunk := os.read(ours, 65536):
                shown += chunk
        return process.wait(WAIT_S), shown.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)


def processes_of(mark: str, home: str) -> dict[int, str]:
    """The command lines of the processes with ``mark`` in their environment, and of the server in ``home``, which erases its own."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if home in command or mark.encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = command
        except OSError:
            continue  # the process ended meanwhile, or belongs to another user
    return found
