"""What runs in the fork server of a pool, and in each worker that it has forked until the worker's main function begins."""

import atexit
import encodings.idna  # noqa: F401  # each worker would import it when it connects
import gc
import os
import select
import signal
import socket
import struct
import traceback
from contextlib import suppress
from typing import Any, Final, NoReturn

import msgspec

from notify.process import set_title
from workers.horse import adopt_orphans, die_with_parent, disown_orphans, flush_output, reap_orphans
from workers.pool.main import run_worker
from workers.pool.notice import NoticeWriter
from workers.pool.options import WorkerOptions

__all__ = ["BECOME", "DEAD", "FORK", "FORKED", "MOST_FILES", "REAP", "REPORT", "REQUEST", "serve"]

FORK: Final = b"f"
"""Request of the pool: fork a worker; with the length of its options, which follow, and with its files."""
BECOME: Final = b"b"
"""Request of the pool: become the only worker process yourself. As `FORK`."""
REAP: Final = b"r"
"""Request of the pool: reap a dead worker; with its process id."""
REQUEST: Final = struct.Struct("!cI")
FORKED: Final = b"f"
"""Report of the fork server: the worker is forked; with its process id."""
DEAD: Final = b"d"
"""Report of the fork server: a worker is dead; with its process id, and its exit code or the number of the signal below 0."""
REPORT: Final = struct.Struct("!cIi")
MOST_FILES: Final = 2
"""The files of a worker: the pipe for its notices and, unless it is that of the pool, its stdout."""
BLOCKED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that only the workers obey. They are blocked during a fork, until the child has handlers of its own."""


def serve(control: socket.socket, *, parent: int) -> NoReturn:
    """Fork workers on request, report their deaths, and reap them on request, until the pool is gone. The workers end then, too.

    Args:
        control: the socket to the pool.
        parent: the process id of the pool.
    """
    status = 1
    try:
        die_with_parent(parent=parent)
        adopt_orphans()
        for signum in BLOCKED:
            signal.signal(signum, signal.SIG_IGN)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        set_title("forks the workers of a pool")
        gc.freeze()  # a collection in a worker would otherwise write to each page that it shares with this process
        _Server(control, parent=parent).run()
        status = 0
    except ConnectionError:
        status = 0  # the pool is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class _Server:
    """The main loop of the fork server.

    Args:
        control: the socket to the pool.
        parent: the process id of the pool.
    """

    def __init__(self, control: socket.socket, *, parent: int) -> None:
        self._control = control
        self._parent = parent
        self._deaths, self._noted_deaths = os.pipe()
        self._running: set[int] = set()
        self._unreaped: set[int] = set()
        """The workers that the pool has not had reaped yet."""

    def run(self) -> None:
        """Serve the pool until it is gone."""
        os.set_blocking(self._deaths, False)
        os.set_blocking(self._noted_deaths, False)
        signal.set_wakeup_fd(self._noted_deaths, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        waited: list[Any] = [self._control, self._deaths]
        while True:
            ready, _, _ = select.select(waited, [], [])
            if self._deaths in ready:
                self._report_deaths()
            if self._control in ready and not self._obey():
                return

    def _obey(self) -> bool:
        """Do what the pool requests. Returns whether the pool is still there."""
        head, files, *_ = socket.recv_fds(self._control, REQUEST.size, MOST_FILES, socket.MSG_WAITALL)
        if len(head) < REQUEST.size:
            return False
        request, number = REQUEST.unpack(head)
        if request == REAP:
            with suppress(ChildProcessError):  # reaped when its end was looked for, where that cannot be avoided
                os.waitpid(number, 0)
            self._unreaped.discard(number)
            return True
        options = self._control.recv(number, socket.MSG_WAITALL)
        flush_output()  # or the child would write the same output once more
        own_pid = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        if request == BECOME:
            self._control.sendall(REPORT.pack(FORKED, own_pid, 0))
            disown_orphans()  # a worker would not reap them
            self._become_worker(options, files, parent=self._parent)
        pid = os.fork()
        if pid == 0:
            self._become_worker(options, files, parent=own_pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for file in files:
            os.close(file)
        self._running.add(pid)
        self._unreaped.add(pid)
        self._control.sendall(REPORT.pack(FORKED, pid, 0))
        return True

    def _report_deaths(self) -> None:
        with suppress(BlockingIOError):  # until it is empty
            while os.read(self._deaths, 4096):
                continue
        reap_orphans(self._unreaped)
        for pid in list(self._running):
            code = _exit_code(pid)
            if code is not None:
                self._running.remove(pid)
                self._control.sendall(REPORT.pack(DEAD, pid, code))

    def _become_worker(self, options: bytes, files: list[int], *, parent: int) -> NoReturn:
        """Main function of the child: leave what belongs to the fork server, and run a worker."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for inherited in (self._control.detach(), self._deaths, self._noted_deaths):
                os.close(inherited)
            # Ctrl-C in the terminal is for the program that runs the pool: it decides when the workers stop.
            with suppress(PermissionError):  # it leads its session already
                os.setsid()
            for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            die_with_parent(signal.SIGTERM, parent=parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
            notices, *stdout = files
            for file in stdout:
                os.dup2(file, 1)
                os.close(file)
            atexit._clear()  # what was to be done at the end of the pool's process
            status = run_worker(msgspec.json.decode(options, type=WorkerOptions), notices=NoticeWriter(notices))
            atexit._run_exitfuncs()  # what the modules of the jobs have asked for
        except SystemExit as exc:
            status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):  # the process ends in any case, and with this status
                flush_output()
            os._exit(status)


def _exit_code(pid: int) -> int | None:
    """Return the exit code of a child, or the number of its signal below 0; ``None`` while it runs.

    The child is not reaped: no other process may get its process id before the pool knows that it is dead.
    """
    if not hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _ignore(*_: object) -> None:
    """Handle a signal by doing nothing: the wakeup file has it."""
