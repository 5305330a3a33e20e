"""The fork server of a pool, as the pool sees it: a process that has imported what a worker needs, and whose forks are the workers."""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from notify.process import own_command
from workers.horse import flush_output
from workers.pool.serving import BECOME, DEAD, FORK, FORKED, REAP, REPORT, REQUEST, serve

__all__ = ["WorkerForkServer"]

START_S: Final = 60.0
"""Seconds within which the fork server must have forked a worker: at first it imports what a worker needs."""
POLL_S: Final = 0.01
THREADS: Final = Path("/proc/self/task")


class WorkerForkServer:
    """Starts the fork server, asks it to fork workers, and learns of their deaths. It ends with this process, also if that is killed.

    The workers share the memory of what the fork server has imported: all but the first cost only what they write to. If there is to be
    only one worker process, the fork server becomes that one, and costs nothing.

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
        self._only: _Child | None = None
        """The worker process that the fork server has become."""

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

    def start(self, options: bytes, files: Sequence[int], *, is_only: bool = False) -> int | None:
        """Fork a worker process.

        Args:
            options: its `WorkerOptions` as JSON.
            files: the file for its notices and, unless it is that of this process, its stdout.
            is_only: whether there is no other one: then the fork server becomes it, where that is possible (on Linux, unless this is
                process 1, to which the orphans of dead workers would go).

        Returns:
            Its process id; ``None`` if the fork server is gone.
        """
        if self._control is None:
            self.open()
        assert self._control is not None  # noqa: S101  # opened above
        self._forked = None
        # Elsewhere a thread of the fork server watches this process; and under process 1 it reaps the orphans of dead workers.
        is_only = is_only and sys.platform == "linux" and os.getpid() != 1
        try:
            socket.send_fds(self._control, [REQUEST.pack(BECOME if is_only else FORK, len(options))], files)
            self._control.sendall(options)
        except OSError:
            self.close()
            return None
        deadline = time.monotonic() + START_S
        while self._forked is None and self.is_open and time.monotonic() < deadline:
            self._receive(deadline - time.monotonic())
        if is_only and self._forked is not None:
            self._only = _Child(self._pid, self._process)
            self._forget()
        return self._forked

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control = self._process = None
        self._children.clear()
        self._buffer = b""

    def is_parent_of(self, pid: int) -> bool:
        """Whether a worker is a fork of this fork server, which still runs, or a child of this process."""
        return pid in self._children or (self._only is not None and self._only.pid == pid)

    def code_of(self, pid: int, *, timeout_s: float | None = 0.0) -> int | None:
        """Return the exit code of a worker, or the number of its signal below 0; ``None`` while it runs, or if the fork server is gone.

        Args:
            pid: the process id of the worker.
            timeout_s: seconds to wait for its end; ``None``: as long as it takes.
        """
        if self._only is not None and self._only.pid == pid:
            return self._only.code(timeout_s)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while pid not in self._codes and pid in self._children:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._receive(left_s) and left_s == 0.0:
                break
        return self._codes.get(pid)

    def close(self) -> None:
        """End the fork server. Workers that still run are told to end, as by SIGTERM."""
        if self._only is not None:
            self._only.end()
        if self._control is None:
            return
        child = _Child(self._pid, self._process)
        self._forget()
        with suppress(ProcessLookupError):  # it has ended already
            os.kill(child.pid, signal.SIGKILL)
        child.code(None)

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


class _Child:
    """A child of this process that is not reaped before somebody asks for its exit code.

    Args:
        pid: its process id.
        process: its object, if it was not just forked.
    """

    def __init__(self, pid: int, process: "subprocess.Popen[bytes] | None") -> None:
        self.pid = pid
        self._process = process
        self._code: int | None = None

    def code(self, timeout_s: float | None) -> int | None:
        """Return the exit code, or the number of the signal below 0; ``None`` while it runs. Waits, at most ``timeout_s`` seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._code is None:
            self._code = self._process.poll() if self._process is not None else self._reaped()
            if self._code is None and deadline is not None and time.monotonic() >= deadline:
                break
            if self._code is None:
                time.sleep(POLL_S)
        return self._code

    def end(self) -> None:
        """Tell the process to end, as by SIGTERM, if it still runs."""
        if self.code(0.0) is None:
            os.kill(self.pid, signal.SIGTERM)

    def _reaped(self) -> int | None:
        try:
            found, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has reaped it
            return -signal.SIGKILL
        return os.waitstatus_to_exitcode(status) if found else None


def _has_threads() -> bool:
    """Return whether this process has several threads, also such that Python does not know."""
    if THREADS.is_dir():
        return len(list(THREADS.iterdir())) > 1
    return threading.active_count() > 1
