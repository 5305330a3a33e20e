"""Commands as in a terminal of their own, which takes all that was started in it with it when it is closed."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from notify.testing import wait_until

__all__ = ["Terminal"]


class Terminal:
    """Starts commands, each in a session of its own.

    Args:
        home: a folder of this terminal alone, which is ``NOTIFY_HOME`` of its commands: processes that left their session, such as a
            server in that folder, are known by it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._sessions = set[int]()

    def start(self, command: list[str], environ: Mapping[str, str], *, stdout: int, stderr: int) -> "subprocess.Popen[str]":
        """Start a command in the folder ``PWD``."""
        process = subprocess.Popen(
            command, env=environ, cwd=environ["PWD"], stdout=stdout, stderr=stderr, text=True, start_new_session=True
        )
        self._sessions.add(process.pid)
        return process

    def run(self, command: str, environ: Mapping[str, str], *, timeout_s: float) -> tuple[int, str]:
        """Run a command by a shell. Returns its exit code, and what a terminal would show of it.

        Raises:
            subprocess.TimeoutExpired: it did not end in time; it is ended then, with all that this terminal has started.
        """
        with self.start(["bash", "-c", command], environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                shown, _ = process.communicate(timeout=timeout_s)
            except BaseException:
                self.close()  # who holds the pipe must end before anybody waits for its end
                raise
            return process.returncode, shown

    def close(self) -> None:
        """End what still runs: first those who start others again, so until none is left."""
        wait_until(lambda: not self._end(), timeout_s=10, what="the end of what a terminal has started")

    def running(self) -> list[int]:
        """Return the processes that belong to this terminal."""
        return list(self._found())

    def _end(self) -> list[int]:
        found = self.running()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return found

    def _found(self) -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            with suppress(OSError):
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                if state != "Z" and (int(session) in self._sessions or str(self.home).encode() in said):
                    yield pid
