"""What a signal does to a command from its start on: it unwinds the command, and is ignored while the command ends."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

__all__ = ["INTERRUPTED", "SIGNALS", "InterruptedBySignal", "exit_code_of", "ignore_signals", "on_signals", "unwind_on_signals"]

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code of a command that Ctrl-C ended."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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


def _unwind(signum: int, _frame: FrameType | None) -> None:
    ignore_signals()
    raise InterruptedBySignal(signum)
