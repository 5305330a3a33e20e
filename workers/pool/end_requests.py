"""Requests to end that reach the parent of worker processes: a first signal, after which jobs finish, and a second one that ends them."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from notify.process import SignalSafeEvent

__all__ = ["SIGNALS", "EndRequests", "InsistedError"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED: Final = 128
"""What shells add to the number of the signal that ended a command."""

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class InsistedError(BaseException):
    """A second signal came: what goes on is to end at once."""


class EndRequests:
    """Within the block the first signal is noted, and a second one raises `InsistedError`. Use it as a context manager in the main thread.

    SIGHUP stays ignored under ``nohup``. SIGINT is handled even if the shell ignores it, as it does for a command started with ``&``.
    """

    def __init__(self) -> None:
        self._first = SignalSafeEvent()
        self._signal = 0
        self._before: dict[signal.Signals, Handler] = {}
        self.may_insist = False
        """Whether a second signal raises `InsistedError`: not while processes are started, which would be left behind."""
        self.has_insisted = False
        """Whether a second signal came."""

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._first.is_set

    @property
    def exit_code(self) -> int:
        """The exit code of a program that has ended as it was asked to: 0 after SIGTERM or SIGHUP, if there was no second signal."""
        is_order = self.has_insisted or self._signal == signal.SIGINT
        return SIGNALLED + self._signal if is_order else 0

    def wait(self, timeout_s: float) -> bool:
        """Wait for a signal, at most ``timeout_s`` seconds. Returns whether one has come."""
        return self._first.wait(timeout_s)

    def __enter__(self) -> "EndRequests":
        for signum in SIGNALS:
            before = signal.getsignal(signum)
            if signum != signal.SIGHUP or before is not signal.SIG_IGN:
                self._before[signum] = before
                signal.signal(signum, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # who started this process may have held them back until now
        return self

    def __exit__(self, *_: object) -> None:
        for signum, before in self._before.items():
            # After a request the program ends, and needs no other one. Every wait from here on has a limit.
            signal.signal(signum, signal.SIG_IGN if self.asked or before is None else before)

    def _note(self, signum: int, _: FrameType | None) -> None:
        if not self.asked:
            self._signal = signum
            self._first.set()
        elif self.may_insist:
            for each in self._before:
                signal.signal(each, signal.SIG_IGN)
            self._signal, self.has_insisted = signum, True
            raise InsistedError
