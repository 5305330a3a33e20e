"""The fork server of a pool, as the pool sees it: a process that has imported what a worker needs, and whose forks are the workers."""

import gc
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from notify.process import own_command
from workers.horse import flush_output
from workers.pool.serving import DEAD, FORK, FORKED, REAP, REPORT, REQUEST, serve

__all__ = ["WorkerForkServer"]

START_S: Final = 60.0
"""Seconds within which the fork server must have forked a worker: at first it imports what a worker needs."""
THREADS: Final = Path("/proc/self/task")


class WorkerForkServer:
    """Starts the fork server, asks it to fork workers, and learns of their deaths. It ends with this process, also if that is killed.

    The workers share the memory of what the fork server has imported: all but the first cost only what they write to.

    Args:
        environ: the environment of the fork server and of the workers; by default that of this process.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._buffer = b""
        self._forked: int | None = None
        self._children: set[int] = set()
        self._codes: dict[int, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether the fork server runs, as far as is known."""
        return self._control is not None

    def fork(self) -> None:
        """Fork the fork server from this process, whose memory it shares; or `open` it if this process has several threads.

        Call it before this process opens connections and imports the modules of jobs. Only what was imported before is shared.
        """
        if self._environ is not None or _has_threads():  # a fork has the locks of all threads, and the environment of this process
            self.open()
            return
        parent = os.getpid()
        self._control, its_end = socket.socketpair()
        flush_output()
        gc.collect()
        gc.freeze()  # a collection, in either process, would write to each page that both share
        pid = os.fork()
        if pid == 0:
            self._control.close()
            os.setsid()
            serve(its_end, parent=parent)
        its_end.close()
        self._pid = pid

    def open(self) -> None:
        """Start the fork server as a process of its own."""
        self._control, its_end = socket.socketpair()
        with its_end:
            self._process = subprocess.Popen(
                own_command("workers.pool", str(os.getpid()), str(its_end.fileno())),
                stdin=subprocess.DEVNULL,
                env=None if self._environ is None else dict(self._environ),
                pass_fds=[its_end.fileno()],
                start_new_session=True,
            )
        self._pid = self._process.pid

    def start(self, options: bytes, files: Sequence[int]) -> int | None:
        """Fork a worker.

        Args:
            options: its `WorkerOptions` as JSON.
            files: the file for its notices and, unless it is that of this process, its stdout.

        Returns:
            Its process id; ``None`` if the fork server is gone.
        """
        if self._control is None:
            self.open()
        assert self._control is not None  # noqa: S101  # opened above
        self._forked = None
        try:
            socket.send_fds(self._control, [REQUEST.pack(FORK, len(options))], files)
            self._control.sendall(options)
        except OSError:
            self.close()
            return None
        deadline = time.monotonic() + START_S
        while self._forked is None and self.is_open and time.monotonic() < deadline:
            self._receive(deadline - time.monotonic())
        return self._forked

    def is_parent_of(self, pid: int) -> bool:
        """Whether a worker is a fork of this fork server, which still runs."""
        return pid in self._children

    def code_of(self, pid: int, *, timeout_s: float | None = 0.0) -> int | None:
        """Return the exit code of a worker, or the number of its signal below 0; ``None`` while it runs, or if the fork server is gone.

        Args:
            pid: the process id of the worker.
            timeout_s: seconds to wait for its end; ``None``: as long as it takes.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while pid not in self._codes and pid in self._children:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._receive(left_s) and left_s == 0.0:
                break
        return self._codes.get(pid)

    def close(self) -> None:
        """End the fork server. Workers that still run are told to end, as by SIGTERM."""
        if self._control is None:
            return
        self._control.close()
        self._control = None
        self._children.clear()
        self._buffer = b""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None
            return
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _receive(self, timeout_s: float | None) -> bool:
        """Read the reports that have come, or wait for one. Returns whether there was one."""
        assert self._control is not None  # noqa: S101  # the callers look
        self._control.settimeout(timeout_s)
        try:
            received = self._control.recv(65_536)
        except (BlockingIOError, TimeoutError):
            return False
        except ConnectionError:
            received = b""
        finally:
            self._control.settimeout(None)
        if not received:
            self.close()
            return False
        self._buffer += received
        while len(self._buffer) >= REPORT.size:
            report, self._buffer = self._buffer[: REPORT.size], self._buffer[REPORT.size :]
            self._note(*REPORT.unpack(report))
        return True

    def _note(self, what: bytes, pid: int, code: int) -> None:
        if what == FORKED:
            self._forked = pid
            self._children.add(pid)
            self._codes.pop(pid, None)
        elif what == DEAD:
            self._codes[pid] = code
            self._children.discard(pid)
            if self._control is not None:
                self._control.sendall(REQUEST.pack(REAP, pid))


def _has_threads() -> bool:
    """Return whether this process has several threads, also such that Python does not know."""
    if THREADS.is_dir():
        return len(list(THREADS.iterdir())) > 1
    return threading.active_count() > 1
