"""Jobs that change their process and leave it changed, and one that looks at what it finds."""

import asyncio
import gc
import locale
import os
import random
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal, getcontext
from io import StringIO
from typing import Any, Final

from tests.support.sample_jobs import note
from workers import job

VARIABLE: Final = ContextVar("VARIABLE", default="unset")


class Unflushable(StringIO):
    """A stdout that a job has made itself."""

    def flush(self) -> None:
        raise RuntimeError("this cannot be flushed")


def _replace_stdout() -> None:
    sys.stdout = Unflushable()
    sys.stderr = None  # type: ignore[assignment]  # as programs without a console do


def _close_stdout() -> None:
    sys.stdout.close()
    sys.stderr.close()


def _set_timers() -> None:
    for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0.05, 0.05)  # the default action of their signals ends the process


def _lower_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))


def _change_environment() -> None:
    os.environ["LEFT"] = "behind"
    os.environ.pop("PATH", None)
    os.environ["TZ"] = "Europe/Berlin"


def _change_interpreter() -> None:
    sys.setrecursionlimit(200)
    gc.disable()
    socket.setdefaulttimeout(0.001)
    sys.setprofile(lambda *_: None)


class Policy(asyncio.DefaultEventLoopPolicy):
    """A policy that a job has set."""


def _leave_loop() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    asyncio.set_event_loop(loop)
    asyncio.set_event_loop_policy(Policy())


def _set_context() -> None:
    VARIABLE.set("left behind")
    getcontext().prec = 3


CHANGES: Final[dict[str, Callable[[], object]]] = {
    "nothing": lambda: None,
    "another stdout": _replace_stdout,
    "a closed stdout": _close_stdout,
    "timers": _set_timers,
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM}),
    "a limit": _lower_limit,
    "another umask": lambda: os.umask(0o777),
    "another environment": _change_environment,
    "another folder": lambda: os.chdir("/"),
    "another locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "filters of warnings": lambda: warnings.simplefilter("error"),
    "a seed": lambda: random.seed(42),
    "an event loop": _leave_loop,
    "settings of the interpreter": _change_interpreter,
    "context variables": _set_context,
    "a priority": lambda: os.nice(1),
}
"""What `change` changes."""


@job("work")
def change(what: str) -> int:
    """Change the process and leave it changed. Returns the process id."""
    CHANGES[what]()
    return os.getpid()


@job("work")
def look() -> dict[str, Any]:
    """Return what a job finds in its process."""
    found: dict[str, Any] = {"streams": [stream is not None and not stream.closed for stream in (sys.stdout, sys.stderr)]}
    found["kind of stdout"] = type(sys.stdout).__name__
    found["timers"] = [signal.getitimer(timer) for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)]
    found["blocked"] = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    found["limit"] = resource.getrlimit(resource.RLIMIT_FSIZE)
    found["umask"] = os.umask(0o077)
    os.umask(found["umask"])
    found["environment"] = {name: value for name, value in os.environ.items() if name != "RQ_JOB_ID"}
    found["folder"] = os.getcwd()
    found["locale"] = locale.setlocale(locale.LC_ALL)
    found["filters"] = len(warnings.filters)
    found["policy"] = type(asyncio.get_event_loop_policy()).__name__
    found["interpreter"] = [sys.getrecursionlimit(), gc.isenabled(), socket.getdefaulttimeout(), sys.getprofile() is None]
    found["context"] = [VARIABLE.get(), str(Decimal(1) / Decimal(3))]
    found["priority"] = os.getpriority(os.PRIO_PROCESS, 0)
    return found


@job("work")
def draw() -> float:
    return random.random()


@job("work")
def split(child: str) -> str:
    """Fork, and let the child come back out of the function as well, by a return or an error."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        note("split:status", os.waitstatus_to_exitcode(status))
        return "the parent"
    if child == "raises":
        raise RuntimeError("the child")
    if child == "exits":
        raise SystemExit(7)
    return "the child"
