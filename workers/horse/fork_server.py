"""The process that forks the horses: it has a single thread, which a worker has not, so that nothing is copied half done."""

import gc
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn, TypeAlias

import msgspec

from workers.errors import HorseError
from workers.horse.parent_death import die_with_parent

__all__ = ["Death", "ForkServer", "flush_output"]

FORK: Final = b"f"
DEAD: Final = b"d"
REAP: Final = b"r"
PID_BYTES: Final = 4
LENGTH_BYTES: Final = 2
HELD_BACK: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A signal for the worker that comes while it forks must not run its handler in the child."""

Ride: TypeAlias = Callable[[socket.socket], NoReturn]


class Death(msgspec.Struct, frozen=True, array_like=True):
    """How a horse died: its process id, status and use of resources, as from ``os.wait4``."""

    pid: int
    status: int
    usage: tuple[float, ...]

    @property
    def rusage(self) -> resource.struct_rusage:
        return resource.struct_rusage(self.usage)


class ForkServer:
    """Forks one horse at a time. It and its horse end with this process, however that ends.

    Args:
        ride: what a horse does with its end of a pair of sockets; it never returns.
    """

    def __init__(self, run_jobs: Ride) -> None:
        self._ride = run_jobs
        self._control: socket.socket | None = None
        self._pid = 0
        self.is_gone = False
        """Whether it was killed; with it nothing can be forked any more."""

    @property
    def is_open(self) -> bool:
        return self._control is not None

    def open(self) -> None:
        """Fork the zygote. Call it while this process has a single thread."""
        parent = os.getpid()
        ours, theirs = socket.socketpair()
        pid = _fork()
        if pid == 0:
            ours.close()
            _never_return(lambda: _serve(theirs, self._ride, parent))
        theirs.close()
        self._control, self._pid = ours, pid

    def fork(self) -> tuple[int, socket.socket]:
        """Fork a horse; the one before must have been reaped.

        Returns:
            Its process id, which is that of its process group too, and the other end of its socket.

        Raises:
            HorseError: there is no zygote any more.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._tell(FORK, theirs.fileno())
            return int.from_bytes(self._receive(PID_BYTES), "big"), ours
        except BaseException:
            ours.close()
            raise

    def fileno(self) -> int:
        """What becomes readable when the horse is dead."""
        return self._control_end.fileno()

    def wait(self) -> None:
        """Wait until the horse is dead; its process id stays its own until it is reaped.

        Raises:
            HorseError: there is no zygote any more.
        """
        self._receive(len(DEAD))

    def reap(self) -> Death:
        """Let go of the process id of a horse that is dead. Errors as for `wait`."""
        self._tell(REAP)
        length = int.from_bytes(self._receive(LENGTH_BYTES), "big")
        return msgspec.msgpack.decode(self._receive(length), type=Death)

    def close(self) -> None:
        """End the zygote, and its horse."""
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

    def _tell(self, request: bytes, *ends: int) -> None:
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
        return HorseError(f"the process {self._pid} that forks those of the jobs is gone: this worker ends, start another one")


def _serve(control: socket.socket, run_jobs: Ride, parent: int) -> None:
    """Fork a horse when told to, say that it is dead, reap it when told to; until the worker is gone."""
    for signum in HELD_BACK:
        signal.signal(signum, signal.SIG_IGN)
    die_with_parent(parent=parent)
    gc.freeze()
    me = os.getpid()
    while True:
        request, ends, *_ = socket.recv_fds(control, 1, 1)
        if request != FORK:
            return
        (end,) = ends
        pid = _fork()
        if pid == 0:
            control.close()
            _never_return(partial(_become_horse, end, run_jobs, me))
        os.close(end)
        with suppress(OSError):  # it does the same; whoever is first, no signal for it hits us
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
    """Wait until a child is dead, where that is possible: until the worker knows, its process id must not go to a stranger."""
    if not hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        return False
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return True


def _become_horse(end: int, run_jobs: Ride, parent: int) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    die_with_parent(parent=parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    run_jobs(socket.socket(fileno=end))


def _fork() -> int:
    """Fork; in the child the signals stay held back until it is ready for them."""
    flush_output()  # or the child would write it once more
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _never_return(act: Callable[[], None]) -> NoReturn:
    """Do the one thing that this process is for: what called us belongs to its parent."""
    status = 1
    try:
        act()
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0  # the worker is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def flush_output() -> None:
    """Write what was printed; a process that leaves by ``os._exit`` forgets it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
