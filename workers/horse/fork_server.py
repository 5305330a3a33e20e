"""The fork server: a process with a single thread that forks the horses.

A worker has several threads. A child that it forked itself would inherit their unfinished state, such as locks that are held.
"""

import os
import signal
import socket
from contextlib import suppress

import msgspec

from workers.errors import HorseError
from workers.horse.serving import DEAD, FORK, LENGTH_BYTES, PID_BYTES, REAP, Death, HorseMain, LastWill, fork_blocked, never_return, serve

__all__ = ["ForkServer"]


class ForkServer:
    """Starts the fork server, and asks it to fork one horse at a time. Server and horse end with this process, also if it is killed.

    Args:
        run_jobs: the main function of a horse. It takes the horse's end of a pair of sockets and never returns.
        last_will: called in the fork server if this process was killed.
    """

    def __init__(self, run_jobs: HorseMain, last_will: LastWill = lambda _: None) -> None:
        self._run_jobs = run_jobs
        self._last_will = last_will
        self._control: socket.socket | None = None
        self._pid = 0
        self.is_gone = False
        """True once the fork server was killed: no horse can be forked any more."""

    @property
    def is_open(self) -> bool:
        """True between `open` and `close`."""
        return self._control is not None

    def open(self) -> None:
        """Fork the fork server. Call it while this process has a single thread."""
        worker_end, server_end = socket.socketpair()
        pid = fork_blocked()
        if pid == 0:
            worker_end.close()
            never_return(lambda: serve(server_end, self._run_jobs, self._last_will))
        server_end.close()
        self._control, self._pid = worker_end, pid

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
        """End the fork server, and the horse with it."""
        if self._control is None:
            return
        self._control.close()
        self._control = None
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

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
        return HorseError(f"the fork server of the worker (process {self._pid}) is gone, and the worker ends: start another worker")
