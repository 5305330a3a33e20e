"""The fork server: a process with a single thread that forks the horses.

A worker has several threads. A child that it forked itself would inherit their unfinished state, such as locks that are held.
"""

import gc
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn, TypeAlias

import msgspec

from workers.errors import HorseError
from workers.horse.parent_death import die_with_parent
from workers.horse.process_state import flush_output

__all__ = ["Death", "ForkServer"]

FORK: Final = b"f"
"""Request of the worker: fork a horse. The socket for the horse comes with it."""
DEAD: Final = b"d"
"""Report of the fork server: the horse is dead."""
REAP: Final = b"r"
"""Request of the worker: reap the dead horse."""
PID_BYTES: Final = 4
LENGTH_BYTES: Final = 2
BLOCKED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that are blocked during a fork, so that none of them runs a handler of the worker in the child."""

HorseMain: TypeAlias = Callable[[socket.socket], NoReturn]


class Death(msgspec.Struct, frozen=True, array_like=True):
    """The end of a horse: its process id, exit status and use of resources, as ``os.wait4`` returns them."""

    pid: int
    status: int
    usage: tuple[float, ...]

    @property
    def rusage(self) -> resource.struct_rusage:
        """The use of resources, as RQ's methods expect it."""
        return resource.struct_rusage(self.usage)


class ForkServer:
    """Starts the fork server, and asks it to fork one horse at a time. Server and horse end with this process, also if it is killed.

    Args:
        run_jobs: the main function of a horse. It takes the horse's end of a pair of sockets and never returns.
    """

    def __init__(self, run_jobs: HorseMain) -> None:
        self._run_jobs = run_jobs
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
        parent = os.getpid()
        worker_end, server_end = socket.socketpair()
        pid = _fork()
        if pid == 0:
            worker_end.close()
            _never_return(lambda: _serve(server_end, self._run_jobs, parent))
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
                self._send(FORK, horse_end.fileno())
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


def _serve(control: socket.socket, run_jobs: HorseMain, parent: int) -> None:
    """Main loop of the fork server, until the worker is gone: fork a horse on request, report its death, reap it on request."""
    for signum in BLOCKED:
        signal.signal(signum, signal.SIG_IGN)
    die_with_parent(parent=parent)
    gc.freeze()
    own_pid = os.getpid()
    while True:
        request, ends, *_ = socket.recv_fds(control, 1, 1)
        if request != FORK:
            return
        (end,) = ends
        pid = _fork()
        if pid == 0:
            control.close()
            _never_return(partial(_become_horse, end, run_jobs, own_pid))
        os.close(end)
        with suppress(OSError):  # the horse does the same: by now a signal for its group no longer hits this process
            os.setpgid(pid, pid)
        control.sendall(pid.to_bytes(PID_BYTES, "big"))
        waited = None if _wait_unreaped(pid) else os.wait4(pid, 0)
        control.sendall(DEAD)
        if control.recv(1) != REAP:
            return
        _, status, usage = waited or os.wait4(pid, 0)
        death = msgspec.msgpack.encode(Death(pid, status, tuple(usage)))
        control.sendall(len(death).to_bytes(LENGTH_BYTES, "big") + death)


def _wait_unreaped(pid: int) -> bool:
    """Wait until a child is dead, without reaping it: no other process may get its process id before the worker knows.

    Returns:
        Whether the platform can do that.
    """
    if not hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        return False
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return True


def _become_horse(end: int, run_jobs: HorseMain, parent: int) -> None:
    """Main function of the child: set up its process group and signals, and run jobs."""
    os.setpgid(0, 0)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _ignore)  # the worker decides; a handler, so that programs that the horse starts do not inherit it
    die_with_parent(parent=parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    run_jobs(socket.socket(fileno=end))


def _ignore(*_: object) -> None:
    """Handle a signal by doing nothing."""


def _fork() -> int:
    """Fork. In the child the signals in `BLOCKED` stay blocked until it has its own handlers."""
    flush_output()  # or the child would write the same output once more
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _never_return(main: Callable[[], None]) -> NoReturn:
    """Run the main function of a child process and exit: the code after the call is for the parent only."""
    status = 1
    try:
        main()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0  # the worker is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
