"""Stopping in order: the first signal asks, the second insists."""

import signal
import threading
from types import FrameType, TracebackType

import typer

__all__ = ["INTERRUPTED", "Stop"]

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


class Stop:
    """Within the block, SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process; a second one interrupts.

    Use it as a context manager in the main thread. On leaving after Ctrl-C the command ends with exit code 130.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._signal = 0
        self._before: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """Stop as if a signal had come."""
        self._asked.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until asked to stop, at most ``timeout_s`` seconds. Returns whether it was."""
        return self._asked.wait(timeout_s)

    def __enter__(self) -> "Stop":
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[signum] = signal.signal(signum, self._hear)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)  # type: ignore[arg-type]  # as signal() gave it
        if kind is None and self._signal == signal.SIGINT:
            raise typer.Exit(INTERRUPTED)

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._signal = signum
        self._asked.set()
