"""Signals within a command: one asks it to stop, or is held while a resource opens or closes. At its start `cli.start` handles them."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar

import typer

from cli.start import INTERRUPTED, SIGNALS, InterruptedBySignal, ignore_signals, on_signals, raise_in_handler, unwind_on_signals
from notify.process import SignalSafeEvent

__all__ = ["HeldSignals", "Stop", "shielded"]

T = TypeVar("T")


@contextmanager
def shielded(opener: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Enter the context manager that ``opener`` returns. A signal that arrives while it opens or closes is delivered afterwards."""
    with HeldSignals() as held, ExitStack() as stack:
        # Ctrl-C between fork and setsid would kill a child. A signal that is blocked here stays blocked in the child.
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
    """Delays signals within the block: a resource that a signal leaves half open could not be closed."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._pending: int | None = None

    def hold(self) -> None:
        """Begin to delay signals."""
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
        on_signals(self._note)

    def release(self) -> None:
        """Restore the handlers, and deliver the last signal that arrived meanwhile."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}
        if self._pending is not None:
            pending, self._pending = self._pending, None
            signal.raise_signal(pending)

    def __enter__(self) -> "HeldSignals":
        self.hold()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        self._pending = signum


class _AskedError(BaseException):
    """A signal arrived within `Stop.interrupting`."""


class Stop:
    """Within the block SIGINT, SIGTERM and SIGHUP set a flag instead of ending the command; a second signal unwinds the command.

    Use it as a context manager in the main thread. After Ctrl-C the command ends with exit code 130 when the block is left.
    """

    def __init__(self) -> None:
        self._asked = SignalSafeEvent()
        self._signal = 0
        self._interrupts = False

    @property
    def asked(self) -> bool:
        """True once a signal has arrived."""
        return self._asked.is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a signal, at most ``timeout_s`` seconds. Returns whether one has arrived."""
        return self._asked.wait(timeout_s)

    def __enter__(self) -> "Stop":
        on_signals(self._note)
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
        """Let the first signal leave this block at once. For blocks that wait for another process."""
        try:
            self._interrupts = True
            try:
                yield
            finally:
                self._interrupts = False
        except _AskedError:
            return

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._asked.is_set:
            ignore_signals()
            raise_in_handler(InterruptedBySignal(signum, insists=True))
        self._signal = signum
        self._asked.set()
        if self._interrupts:
            raise _AskedError
