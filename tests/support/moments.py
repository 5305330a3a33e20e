"""Sends a signal at each line of a wait, one line per attempt. Runs in a process of its own, because some of the waits hang."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import notify
from cli.signals import Stop
from notify.process import signal_event as flag
from notify.testing import fake_bus

AT_THE_END_S = 0.3


class SignalledAt:
    """Within the block this process gets SIGTERM at the nth line of a ``wait`` of `SignalSafeEvent` or of ``threading``.

    If the wait has fewer lines, SIGTERM comes at the end.
    """

    def __init__(self, moment: int) -> None:
        self._left = moment
        self._is_over = False
        self._timer = threading.Timer(AT_THE_END_S, self._end)
        self._timer.daemon = True

    @property
    def came(self) -> bool:
        """Whether the wait had such a line."""
        return self._left < 0

    def __enter__(self) -> "SignalledAt":
        self._timer.start()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        self._timer.cancel()

    def _called(self, frame: FrameType, _what: str, _value: object) -> Any:
        is_wait = frame.f_code.co_name == "wait" and frame.f_code.co_filename in (threading.__file__, flag.__file__)
        return self._at_line if is_wait else None

    def _at_line(self, _frame: FrameType, what: str, _value: object) -> Any:
        if what == "line" and not self._is_over:
            self._left -= 1
            if self._left == -1:
                self._timer.cancel()
                signal.raise_signal(signal.SIGTERM)  # its handler runs here, within the wait
        return self._at_line

    def _end(self) -> None:
        self._is_over = True
        os.kill(os.getpid(), signal.SIGTERM)


def _for_set(waited: Any, signalled: SignalledAt) -> None:
    signal.signal(signal.SIGTERM, lambda *_: waited.set())
    with signalled:
        waited.wait()


def _as_dispatcher(signalled: SignalledAt) -> None:
    with fake_bus() as bus:
        dispatcher = notify.Dispatcher(notify.Program(bus, name="idle"))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # before and after the dispatcher handles it
        with signalled:
            dispatcher.run()


def _as_command(signalled: SignalledAt) -> None:
    with Stop() as stop, signalled:
        stop.wait()


WAITS: dict[str, Callable[[SignalledAt], None]] = {
    "flag": lambda signalled: _for_set(flag.SignalSafeEvent(), signalled),
    "event": lambda signalled: _for_set(threading.Event(), signalled),
    "dispatcher": _as_dispatcher,
    "command": _as_command,
}
