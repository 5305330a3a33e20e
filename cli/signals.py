"""Stopping in order: a signal unwinds the command, or asks it to stop first; what closes on the way is not cut short."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

import typer

from notify.process import SignalSafeEvent

__all__ = ["INTERRUPTED", "SIGNALS", "HeldSignals", "Stop", "ignore_signals", "shielded", "unwind_on_signals"]

T = TypeVar("T")

INTERRUPTED: Final = 130
"""The exit code of a command that Ctrl-C ended."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unwind_on_signals() -> None:
    """Have a signal raise ``KeyboardInterrupt``, once: SIGTERM too must stop a private server and end child processes."""
    _on_signals(_unwind)


def ignore_signals() -> None:
    """Let the end go on undisturbed; everything that waits in it has a timeout."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    for signum in SIGNALS:
        # Under nohup SIGHUP is ignored, and stays so. SIGINT is ignored for what a script starts with ``&``: we hear it.
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, handler)


class _InterruptedError(KeyboardInterrupt):
    """Not the bare one: if that meets code run by ``exec``, Python kills itself at its end instead of giving our exit code."""


def _unwind(_signum: int, _frame: FrameType | None) -> None:
    ignore_signals()
    raise _InterruptedError


@contextmanager
def shielded(opener: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Open, use and close what ``opener`` gives; signals that come while it opens or closes wait until it is open, or closed."""
    with HeldSignals() as held, ExitStack() as stack:
        # A child has a moment between its fork and its session in which Ctrl-C would kill it; blocked signals stay so in it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            opened = stack.enter_context(opener())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        held.release()
        try:
            yield opened
        finally:
            held.hold()


class HeldSignals:
    """Within the block signals wait: what is half open could not be closed."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._came: int | None = None

    def hold(self) -> None:
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
        _on_signals(self._hear)

    def release(self) -> None:
        """Handle signals as before, and now the one that came meanwhile."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
        if self._came is not None:
            came, self._came = self._came, None
            signal.raise_signal(came)

    def __enter__(self) -> "HeldSignals":
        self.hold()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        self._came = signum


class _AskedError(BaseException):
    """A signal came within `Stop.interrupting`."""


class Stop:
    """Within the block, SIGINT, SIGTERM and SIGHUP set a flag instead of ending the command; a second one unwinds it.

    Use it as a context manager in the main thread. On leaving after Ctrl-C the command ends with exit code 130.
    """

    def __init__(self) -> None:
        self._asked = SignalSafeEvent()
        self._signal = 0
        self._interrupts = False

    @property
    def asked(self) -> bool:
        return self._asked.is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until asked to stop, at most ``timeout_s`` seconds. Returns whether it was."""
        return self._asked.wait(timeout_s)

    def __enter__(self) -> "Stop":
        _on_signals(self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._asked.is_set:
            ignore_signals()
        else:
            unwind_on_signals()
        if kind is None and self._signal == signal.SIGINT:
            raise typer.Exit(INTERRUPTED)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block, which may wait for somebody else, the first signal leaves the block at once."""
        try:
            self._interrupts = True
            try:
                yield
            finally:
                self._interrupts = False
        except _AskedError:
            return

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self._asked.is_set:
            _unwind(signum, frame)
        self._signal = signum
        self._asked.set()
        if self._interrupts:
            raise _AskedError
