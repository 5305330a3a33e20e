"""One process of a pool, with one worker or several: its start, what it tells, and why it ended."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO

import msgspec

from notify.process import printable
from workers.pool.fork_server import WorkerForkServer
from workers.pool.notice import NoticeReader
from workers.pool.options import WorkerOptions

__all__ = ["WorkerProcess"]

POLL_S = 0.01


class WorkerProcess:
    """A worker process. The constructor starts it. Its methods are those of ``subprocess.Popen``.

    Args:
        options: the options, with the name of the worker. They go through a socket, so that no password shows in the list of processes.
        server: forks the process.
        stdout: as for ``subprocess.Popen``.
        is_only: whether the pool has no other process.
    """

    def __init__(self, options: WorkerOptions, *, server: WorkerForkServer, stdout: int | None, is_only: bool = False) -> None:
        self.names = options.names or (options.name,)
        """The names of its workers."""
        self.stdout: IO[bytes] | None = None
        """What the worker prints, if ``stdout`` is ``subprocess.PIPE``."""
        self.returncode: int | None = None
        self.started_at = time.monotonic()
        self._server = server
        reading, writing = os.pipe()
        self._notices = NoticeReader(reading)
        files, own = [writing], [writing]
        try:
            if stdout == subprocess.PIPE:
                printed, printing = os.pipe()
                own.append(printing)
                self.stdout = open(printed, "rb")  # noqa: SIM115  # as long as the process
                files.append(printing)
            elif stdout == subprocess.DEVNULL:
                own.append(os.open(os.devnull, os.O_WRONLY))
                files.append(own[-1])
            elif stdout is not None:
                files.append(stdout)
            pid = server.start(msgspec.json.encode(options), files, is_only=is_only)
        finally:
            for file in own:
                os.close(file)
        self._lost = pid is None
        if pid is None:
            self.returncode = 1
        self.pid = pid or 0

    def poll(self) -> int | None:
        """Return the exit code, or the number of the signal below 0; ``None`` while the process runs."""
        if self.returncode is None:
            self._settle(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended. Returns what `poll` does.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._settle(left_s)
            if self.returncode is None and left_s == 0.0:
                raise subprocess.TimeoutExpired(f"worker {', '.join(self.names)}", timeout or 0.0)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal, if the process still runs."""
        if self.is_running:  # it is reaped after this process knows of its death: no other process has its process id
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Tell the process to end after its job (SIGTERM), if it still runs."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self.send_signal(signal.SIGKILL)

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.poll() is None

    @property
    def busy(self) -> Sequence[bool | None]:
        """For each worker, whether it runs a job after it was told to end; ``None`` if it has not said so yet."""
        if not self.is_running:
            return [False for _ in self.names]
        self._notices.read()
        return [self._notices.busy.get(name) for name in self.names]

    @property
    def left(self) -> Sequence[str]:
        """The workers that have ended as they were told to, while others of the process go on."""
        self._notices.read()
        return self._notices.left

    @property
    def ended_in_order(self) -> bool:
        """Whether it has ended as it was told to: by a signal, by a command, or by the end of a burst."""
        self._notices.read()
        end = self._notices.end
        return self.returncode == 0 and not self._lost and end is not None and end.kind == "ended"

    @property
    def cut_count(self) -> int:
        """How many jobs it ended because it was told to end at once. If it was killed: as many as may have run, at least 1."""
        self._notices.read()
        end = self._notices.end
        if end is not None:
            return end.cut_count
        return max(1, list(self._notices.busy.values()).count(True)) if self.returncode == -signal.SIGKILL else 0

    @property
    def why_it_ended(self) -> str:
        """The reason in words, when it has ended."""
        self._notices.read()
        end, code = self._notices.end, self.returncode
        if end is not None and end.kind == "failed":
            return f"{printable(end.reason)}\n{end.detail}".strip()
        if self._lost:
            return "the fork server of the pool, of which it was a fork, was killed or could not start"
        if code is not None and code < 0:
            return f"it was killed by signal {-code} ({signal.Signals(-code).name})"
        return f"its process exited with code {code}, without a reason"

    def close(self) -> None:
        """Close the pipe, after the end of the process."""
        self._notices.close()

    def _settle(self, timeout_s: float | None) -> None:
        """Find out whether the process has ended; wait for that."""
        self.returncode = self._server.code_of(self.pid, timeout_s=timeout_s)
        if self.returncode is not None or self._server.is_parent_of(self.pid):
            return
        # The fork server is gone. The worker was told to end, as by SIGTERM; it has ended when nobody can write notices any more.
        self._lost = True
        self._notices.read()
        if self._notices.is_over:
            self.returncode = 0 if self._notices.end is not None else -signal.SIGKILL
        elif timeout_s != 0.0:
            time.sleep(POLL_S)
