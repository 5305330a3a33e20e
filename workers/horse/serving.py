"""What runs in the fork server: it forks the horses of one or several workers, reports their deaths, and reaps them and the orphans of
their jobs.

When the process of the workers is killed, it kills the horses, and says what they had begun and ended: the last will of each worker, see
`workers.line`.
"""

import gc
import os
import resource
import select
import signal
import socket
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from workers.horse.orphans import adopt_orphans, reap_orphans
from workers.horse.parent_death import die_with_parent
from workers.horse.process_state import flush_output

__all__ = [
    "DEAD",
    "FORK",
    "LEAVE",
    "LENGTH_BYTES",
    "PID_BYTES",
    "REAP",
    "Death",
    "HorseMain",
    "LastWill",
    "Stall",
    "fork_blocked",
    "never_return",
    "serve",
]

FORK: Final = b"f"
"""Request of the worker: fork a horse. The socket for the horse comes with it."""
DEAD: Final = b"d"
"""Report of the fork server: the horse is dead."""
REAP: Final = b"r"
"""Request of the worker: reap the dead horse."""
LEAVE: Final = b"l"
"""Request of the worker: kill the horse, and forget it. The worker ends in order, so that there is no last will."""
PID_BYTES: Final = 4
LENGTH_BYTES: Final = 2
BLOCKED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that are blocked during a fork, so that none of them runs a handler of the worker in the child."""

HorseMain: TypeAlias = Callable[[socket.socket], NoReturn]
LastWill: TypeAlias = Callable[[Sequence[bytes]], object]
"""What the fork server does when the worker was killed, and the horse is dead. Its argument is the replies of the last horses, an item for
each horse. The worker may have recorded some of them."""

KEPT: Final = 32
"""Horses whose last replies the fork server keeps: a worker that replaces its horse after each job has the ends of so many to record."""


class Death(msgspec.Struct, frozen=True, array_like=True):
    """The end of a horse: its process id, exit status and use of resources, as ``os.wait4`` returns them."""

    pid: int
    status: int
    usage: tuple[float, ...]

    @property
    def rusage(self) -> resource.struct_rusage:
        """The use of resources, as RQ's methods expect it."""
        return resource.struct_rusage(self.usage)


class Stall(NamedTuple):
    """What the fork server has to know of one horse.

    Args:
        control: the socket to the worker. No other process has its other end, so it is closed when the worker is dead, however that came.
        run_jobs: the main function of the horse.
        last_will: called when the worker was killed.
        prepare: called once, before the horse is forked.
    """

    control: socket.socket
    run_jobs: HorseMain
    last_will: LastWill
    prepare: Callable[[], object] = lambda: None


def serve(stalls: Sequence[Stall]) -> None:
    """Main function of the fork server, until the process of its workers is gone.

    Args:
        stalls: one for each horse. Each has one worker, and all these workers are in one process.
    """
    for signum in BLOCKED:
        signal.signal(signum, signal.SIG_IGN)
    # A signal for the process group of the worker must not keep the last will from being done.
    with suppress(OSError):  # it leads its session, and so its group, already
        os.setpgid(0, 0)
    adopt_orphans()
    for each in stalls:
        each.prepare()
    gc.freeze()
    server = _Server(stalls)
    with suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone
        server.run()
    left = [(stall, stall.end_horse()) for stall in server.stalls]  # first all horses: a last will may take seconds
    for stall, rest in left:
        stall.last_will(rest)


class _Server:
    """The main loop of the fork server.

    Args:
        stalls: one for each horse.
    """

    def __init__(self, stalls: Sequence[Stall]) -> None:
        self._deaths, self._noted_deaths = os.pipe()
        self.stalls = [_Horse(stall, server=self) for stall in stalls]
        """Those whose worker has not ended."""

    def run(self) -> None:
        """Serve the workers until their process is gone."""
        for file in (self._deaths, self._noted_deaths):
            os.set_blocking(file, False)
        signal.set_wakeup_fd(self._noted_deaths, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        poll = select.poll()
        poll.register(self._deaths, select.POLLIN)
        for stall in self.stalls:
            poll.register(stall.control, select.POLLIN)
        while self.stalls:
            ready = {file for file, _ in poll.poll()}
            if self._deaths in ready:
                with suppress(BlockingIOError):  # another death was noted just now
                    os.read(self._deaths, 4096)
                reap_orphans({stall.pid for stall in self.stalls})
                for stall in self.stalls:
                    stall.look()
            for stall in [stall for stall in self.stalls if stall.control.fileno() in ready]:
                request = stall.obey()
                if request == LEAVE:
                    poll.unregister(stall.control)
                    stall.end_horse()
                    stall.close()
                    self.stalls.remove(stall)
                elif request not in (FORK, REAP):
                    return

    def leave(self) -> None:
        """In a horse: close what is not for it."""
        for stall in self.stalls:
            stall.close()
        os.close(self._deaths)
        os.close(self._noted_deaths)


class _Horse:
    """One horse of the fork server.

    Args:
        stall: its place.
        server: the fork server.
    """

    def __init__(self, stall: Stall, *, server: _Server) -> None:
        self.control, self._run_jobs, self.last_will, _ = stall
        self._server = server
        self.pid = 0
        """Its process id, until it is reaped; 0 without one."""
        self._replies: socket.socket | None = None
        """The worker's end of the pair of sockets of the last horse: the replies in it outlive the worker."""
        self._left: deque[bytes] = deque(maxlen=KEPT)
        """The replies of earlier horses that were in their sockets when the next one was forked."""
        self._is_reported = False
        self._ended: tuple[int, int, resource.struct_rusage] | None = None
        """What ``os.wait4`` has returned, where a dead process cannot be left unreaped."""

    def look(self) -> None:
        """Report its death."""
        if self.pid and not self._is_reported and self._has_ended():
            self._is_reported = True
            with suppress(BrokenPipeError, ConnectionResetError):  # what the worker said last is still to be read
                self.control.sendall(DEAD)

    def _has_ended(self) -> bool:
        """Return whether the horse is dead. It is not reaped: no other process may get its process id before the worker knows."""
        if hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        self._ended = os.wait4(self.pid, os.WNOHANG)
        return bool(self._ended[0])

    def obey(self) -> bytes:
        """Do what the worker requests. Returns the request; it is empty if the worker is gone."""
        request, ends, *_ = socket.recv_fds(self.control, 1, 2)
        if request == FORK:
            self._fork(*ends)
        elif request == REAP:
            _, status, usage = self._ended or os.wait4(self.pid, 0)
            death = msgspec.msgpack.encode(Death(self.pid, status, tuple(usage)))
            self.pid, self._ended = 0, None
            self.control.sendall(len(death).to_bytes(LENGTH_BYTES, "big") + death)
            reap_orphans({stall.pid for stall in self._server.stalls})
        return request

    def end_horse(self) -> list[bytes]:
        """Kill the horse and the programs that its job started, and return what the horses sent; see `LastWill`."""
        if self.pid:
            with suppress(OSError):  # it is dead
                os.killpg(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # it is reaped, where a dead process cannot be left unreaped
                os.waitpid(self.pid, 0)
        self._keep_replies()
        return list(self._left)

    def _keep_replies(self) -> None:
        """Keep what the dead horse has sent and the worker has not taken out of the socket."""
        rest = bytearray()
        if self._replies is not None:
            with suppress(OSError):  # a program that outlives the job may hold the other end open
                while chunk := self._replies.recv(1 << 16, socket.MSG_DONTWAIT):
                    rest += chunk
        if rest:
            self._left.append(bytes(rest))

    def close(self) -> None:
        """Close the sockets, in this process."""
        self.control.close()
        if self._replies is not None:
            self._replies.close()

    def _fork(self, end: int, replies: int) -> None:
        own_pid = os.getpid()
        self._keep_replies()  # the worker may be killed before it has recorded these ends
        if self._replies is not None:
            self._replies.close()
        self._replies = socket.socket(fileno=replies)
        pid = fork_blocked()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._server.leave()
            never_return(partial(_become_horse, end, self._run_jobs, own_pid))
        os.close(end)
        with suppress(OSError):  # the horse does the same: by now a signal for its group no longer hits this process
            os.setpgid(pid, pid)
        self.pid, self._is_reported = pid, False
        self.control.sendall(pid.to_bytes(PID_BYTES, "big"))


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


def fork_blocked() -> int:
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


def never_return(main: Callable[[], None]) -> NoReturn:
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
