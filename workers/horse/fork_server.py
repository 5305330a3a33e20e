"""The fork server: a process with a single thread that forks the horses.

A worker has several threads. A child that it forked itself would inherit their unfinished state, such as locks that are held.
"""

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from workers.errors import HorseError
from workers.horse.serving import (
    DEAD,
    FORK,
    LEAVE,
    LENGTH_BYTES,
    PID_BYTES,
    REAP,
    Death,
    HorseMain,
    LastWill,
    Stall,
    fork_blocked,
    never_return,
    serve,
)

__all__ = ["ForkServer"]

LEAVE_S: Final = 5.0
"""Seconds to wait until a fork server that others still use has killed a horse."""
CHUNK: Final = 4096


class ForkServer:
    """The fork server of one horse at a time. Server and horse end with this process, also if it is killed.

    Several can be one process, see `open_together`: each further horse then costs no fork server of its own.

    Args:
        run_jobs: the main function of a horse. It takes the horse's end of a pair of sockets and never returns.
        last_will: called in the fork server if this process was killed.
        prepare: called in the fork server before the first horse is forked: all horses share the memory of what it makes.
    """

    def __init__(self, run_jobs: HorseMain, last_will: LastWill = lambda _: None, *, prepare: Callable[[], object] = lambda: None) -> None:
        self._run_jobs = run_jobs
        self._last_will = last_will
        self._prepare = prepare
        self._control: socket.socket | None = None
        self._process: _Process | None = None
        self.is_gone = False
        """True once the fork server was killed: no horse can be forked any more."""

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._control is not None

    def open(self) -> None:
        """Fork the fork server. Call it while this process has a single thread."""
        self.open_together([self])

    @staticmethod
    def open_together(servers: Sequence["ForkServer"]) -> None:
        """Fork one process for several fork servers. Call it while this process has a single thread."""
        pairs = [socket.socketpair() for _ in servers]
        gc.collect()
        gc.freeze()  # a collection, in any of the processes, would write to each page that they share
        pid = fork_blocked()
        if pid == 0:
            for worker_end, _ in pairs:
                worker_end.close()
            stalls = [
                Stall(control, server._run_jobs, server._last_will, server._prepare)
                for server, (_, control) in zip(servers, pairs, strict=True)
            ]
            never_return(lambda: serve(stalls))
        process = _Process(pid, len(servers))
        for server, (worker_end, server_end) in zip(servers, pairs, strict=True):
            server_end.close()
            server._control, server._process = worker_end, process

    def look(self) -> bool:
        """Look, without waiting, whether the fork server is gone. Returns `is_gone`."""
        try:
            if self._control is not None and not self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self.is_gone = True
        except BlockingIOError:
            pass  # it has nothing to tell
        except ConnectionResetError:
            self.is_gone = True
        return self.is_gone

    def fork(self) -> tuple[int, socket.socket]:
        """Fork a horse. The horse before must have been reaped.

        Returns:
            The process id of the horse, which is also the id of its process group, and the worker's end of the pair of sockets.

        Raises:
            HorseError: the fork server is gone.
        """
        worker_end, horse_end = socket.socketpair()
        try:
            with horse_end:
                self._send(FORK, horse_end.fileno(), worker_end.fileno())
            return int.from_bytes(self._receive(PID_BYTES), "big"), worker_end
        except BaseException:
            worker_end.close()
            raise

    def fileno(self) -> int:
        """Return the file number that becomes readable when the horse is dead."""
        return self._control_end.fileno()

    def wait(self) -> None:
        """Wait until the horse is dead. No other process can get its process id before `reap`.

        Raises:
            HorseError: the fork server is gone.
        """
        self._receive(len(DEAD))

    def reap(self) -> Death:
        """Reap the dead horse, after `wait`. From then on another process may get its process id.

        Raises:
            HorseError: the fork server is gone.
        """
        self._send(REAP)
        length = int.from_bytes(self._receive(LENGTH_BYTES), "big")
        return msgspec.msgpack.decode(self._receive(length), type=Death)

    def close(self) -> None:
        """End the horse, and the fork server as well if it has no other horse."""
        if self._control is None or self._process is None:
            return
        if not self._process.leave():
            self._leave(self._control, self._process)
        self._control.close()
        self._control = None

    @staticmethod
    def _leave(control: socket.socket, process: "_Process") -> None:
        """Have the fork server kill the horse, and wait until it has."""
        control.settimeout(0.0 if process.is_frozen else LEAVE_S)
        try:
            control.send(LEAVE)
            while control.recv(CHUNK):
                continue
        except (TimeoutError, BlockingIOError):
            process.is_frozen = True
        except OSError:
            return  # it is gone, and the horse with it

    @property
    def _control_end(self) -> socket.socket:
        if self._control is None:
            raise self._gone()
        return self._control

    def _send(self, request: bytes, *ends: int) -> None:
        try:
            socket.send_fds(self._control_end, [request], ends)
        except OSError as exc:
            raise self._gone() from exc

    def _receive(self, count: int) -> bytes:
        try:
            received = self._control_end.recv(count, socket.MSG_WAITALL)
        except ConnectionResetError:
            received = b""
        if len(received) < count:
            raise self._gone()
        return received

    def _gone(self) -> HorseError:
        self.is_gone = True
        pid = 0 if self._process is None else self._process.pid
        return HorseError(f"the fork server of the worker (process {pid}) is gone, and the worker ends: start another worker")


class _Process:
    """The process of some fork servers, which ends with the last of them.

    Args:
        pid: its process id.
        users: how many fork servers it is.
    """

    def __init__(self, pid: int, users: int) -> None:
        self.pid = pid
        self.is_frozen = False
        """Whether it did not answer a request to leave. Who leaves later does not wait: many would wait one after the other."""
        self._users = users
        self._lock = threading.Lock()

    def leave(self) -> bool:
        """Note that a fork server is closed. With the last one the process ends. Returns whether it was the last one."""
        with self._lock:
            self._users -= 1
            if self._users:
                return False
        with suppress(ProcessLookupError):  # it was killed, and reaped
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # as above
            os.waitpid(self.pid, 0)
        return True
