"""The state of the process of a horse: restored after each job, or else the process is replaced."""

import asyncio
import contextvars
import gc
import locale
import os
import random
import resource
import signal
import socket
import sys
import threading
import traceback
import warnings
from _signal import getsignal, pthread_sigmask, setitimer  # type: ignore[import-not-found]  # the C module under signal makes no enums
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["ProcessState", "flush_output", "open_standard_files"]

T = TypeVar("T")

LIMITS: Final = tuple(
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
    if hasattr(resource, f"RLIMIT_{name}")
)
STREAMS: Final = ("stdin", "stdout", "stderr")
TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
STANDARD_FILES: Final = 3
JOB_ID: Final = b"RQ_JOB_ID"
"""The variable with the id of the running job, as RQ sets it."""


class ProcessState:
    """What each job finds in the process, as it was before the first job.

    Restored are: signal handlers, blocked signals and timers; stdin, stdout and stderr; working directory, umask, limits of resources,
    environment and locale; filters of warnings; the seed of ``random``; policy and event loop of asyncio; context variables, and the
    context of ``decimal`` with them; recursion limit, garbage collection, tracing, and the timeout of sockets. A job that leaves a
    thread, a child process, another user or group, another process group or a priority behind has its process replaced. Modules and
    their globals are shared by all jobs of a process.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        catchable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        self._signums = list(map(int, catchable))
        self._handlers = list(map(getsignal, self._signums))
        self._blocked = pthread_sigmask(signal.SIG_BLOCK, ())
        self._streams = [getattr(sys, name) for name in STREAMS]
        self._folder = os.getcwd()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._limits = list(map(resource.getrlimit, LIMITS))
        # The dict inside `os.environ`: to copy the mapping after each job takes longer than all other comparisons together.
        self._present: dict[bytes, bytes] = getattr(os.environ, "_data")  # noqa: B009  # typeshed does not name it
        self._environ = dict(self._present)
        self._locale = locale.setlocale(locale.LC_ALL)
        self._filters = list(warnings.filters)
        self._policy = asyncio.get_event_loop_policy()
        self._interpreter = _interpreter()
        self._identity = _identity()
        self._threads = threading.active_count()

    def announce(self, job_id: str) -> None:
        """Put the id of the next job into the environment."""
        self._environ[JOB_ID] = os.environb[JOB_ID] = job_id.encode()

    def isolated(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function with context variables of its own: what it sets in them does not reach the next call."""
        return contextvars.copy_context().run(function, *args)

    def end_if_forked(self) -> None:
        """End this process if it is the child of a fork in a job: only the horse itself may go on after the function of the job."""
        if os.getpid() == self._pid:
            return
        error = sys.exception()
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        flush_output()
        os._exit(0 if error is None else 1)

    def restore(self) -> bool:
        """Restore the state after a job. Returns whether that was possible; if not, the process must be replaced."""
        try:
            self._restore_signals()
            self._restore_surroundings()
            self._restore_interpreter()
        except (OSError, ValueError, locale.Error):
            return False
        is_open = not any(stream is not None and stream.closed for stream in self._streams)
        # A thread or child process of this job would go on during the next job, or be killed with it.
        return is_open and _identity() == self._identity and threading.active_count() == self._threads and not _has_children()

    def _restore_signals(self) -> None:
        if list(map(getsignal, self._signums)) != self._handlers:
            for signum, handler in zip(self._signums, self._handlers, strict=True):
                if getsignal(signum) != handler and handler is not None:
                    signal.signal(signum, handler)
        for timer in TIMERS:
            setitimer(timer, 0)
        pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _restore_surroundings(self) -> None:
        for name, stream in zip(STREAMS, self._streams, strict=True):
            setattr(sys, name, stream)
        if os.getcwd() != self._folder:
            os.chdir(self._folder)
        os.umask(self._umask)
        if list(map(resource.getrlimit, LIMITS)) != self._limits:
            for limit, before in zip(LIMITS, self._limits, strict=True):
                resource.setrlimit(limit, before)
        if self._present != self._environ:
            os.environb.clear()
            os.environb.update(self._environ)
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)

    def _restore_interpreter(self) -> None:
        if warnings.filters != self._filters:
            warnings.resetwarnings()  # also tells the module that its filters have changed
            warnings.filters[:] = self._filters  # type: ignore[index]  # typeshed calls it a sequence, and it is a list
        random.seed(int.from_bytes(os.urandom(16), "big"))  # half the time of random.seed(), which takes 2,500 bytes
        asyncio.set_event_loop(None)
        if asyncio.get_event_loop_policy() is not self._policy:
            asyncio.set_event_loop_policy(self._policy)
        if _interpreter() != self._interpreter:
            recursion_limit, collects, timeout_s, trace, profile = self._interpreter
            sys.setrecursionlimit(recursion_limit)
            (gc.enable if collects else gc.disable)()
            socket.setdefaulttimeout(timeout_s)
            sys.settrace(trace)
            sys.setprofile(profile)


def _interpreter() -> tuple[int, bool, float | None, Any, Any]:
    """Return the settings of the interpreter that a job may change."""
    return sys.getrecursionlimit(), gc.isenabled(), socket.getdefaulttimeout(), sys.gettrace(), sys.getprofile()


def _identity() -> tuple[int, ...]:
    """Return what cannot be restored without rights: user, group, process group and priority."""
    return os.geteuid(), os.getegid(), os.getpgid(0), os.getpriority(os.PRIO_PROCESS, 0)


def _has_children() -> bool:
    """Return whether a child process that a job started is still running. Child processes that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def flush_output() -> None:
    """Flush stdout and stderr, which ``os._exit`` does not. A stream that a job has replaced may raise anything."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(Exception):  # the stream is closed, its reader is gone, or it is a job's own
                stream.flush()


def open_standard_files() -> None:
    """Open the files 0, 1 and 2 on nothing where they are closed, as in a process that a daemon started.

    Without this the next socket would get such a number, and what a job prints would go into that socket.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) < STANDARD_FILES:
        os.set_inheritable(opened, True)
    os.close(opened)
    for name, mode in zip(STREAMS, ("r", "w", "w"), strict=True):
        if getattr(sys, name) is None:
            setattr(sys, name, open(STREAMS.index(name), mode, closefd=False))  # noqa: SIM115  # it stays open as long as the process
