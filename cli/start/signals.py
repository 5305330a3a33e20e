"""What a signal does to a command from its start on: it unwinds the command, and is ignored while the command ends."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Final, NoReturn

__all__ = [
    "INTERRUPTED",
    "SIGNALS",
    "InterruptedBySignal",
    "exit_code_of",
    "ignore_signals",
    "on_signals",
    "raise_in_handler",
    "unwind_on_signals",
]

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code of a command that Ctrl-C ended."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S: Final = 0.001
"""Seconds after which an exception is raised once more that Python has passed over."""


def unwind_on_signals() -> None:
    """Let the next signal raise ``KeyboardInterrupt``, once: SIGTERM and SIGHUP too must stop a private server and end child processes."""
    on_signals(_unwind)


def ignore_signals() -> None:
    """Ignore all signals while the command ends. Every wait in that phase has a timeout."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Handle SIGINT, SIGTERM and SIGHUP."""
    for signum in SIGNALS:
        # SIGHUP stays ignored under nohup. SIGINT is handled even if the shell ignores it, as it does for a command started with ``&``.
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, handler)


class InterruptedBySignal(KeyboardInterrupt):
    """A signal unwinds the command. After a plain ``KeyboardInterrupt`` in code run by ``exec``, Python would end itself with SIGINT.

    Args:
        signum: the signal.
        insists: it came after another one that the command had begun to obey.
    """

    def __init__(self, signum: int = signal.SIGINT, *, insists: bool = False) -> None:
        super().__init__()
        self.signum, self.insists = signum, insists


def exit_code_of(interrupt: KeyboardInterrupt, *, runs_on: bool = False) -> int:
    """Return the exit code of a command that a signal has ended: 128 and the number of the signal, as shells say it.

    Args:
        interrupt: the exception.
        runs_on: the command runs until it is told to end. With SIGTERM and SIGHUP it then has done what it was to do: 0.
    """
    signum = getattr(interrupt, "signum", signal.SIGINT)
    if runs_on and signum != signal.SIGINT and not getattr(interrupt, "insists", False):
        return 0
    return 128 + int(signum)


def raise_in_handler(error: InterruptedBySignal) -> NoReturn:
    """Raise an exception in the handler of a signal. If Python passes over it, raise it again a moment later.

    Python does so if the signal comes in a destructor or in the callback of a weak reference, as each import has one. The command would go
    on, and ignore further signals.
    """
    sys.unraisablehook = partial(_raise_again, error, sys.unraisablehook)
    raise error


def _raise_again(error: InterruptedBySignal, otherwise: Callable[[Any], object], unraisable: Any) -> None:
    """Look at an exception that Python passes over, in place of ``sys.unraisablehook``."""
    if unraisable.exc_value is error:
        signal.signal(signal.SIGALRM, partial(_raise, error))
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    else:
        otherwise(unraisable)


def _raise(error: InterruptedBySignal, _signum: int, _frame: FrameType | None) -> None:
    raise error


def _unwind(signum: int, _frame: FrameType | None) -> None:
    ignore_signals()
    raise_in_handler(InterruptedBySignal(signum))
