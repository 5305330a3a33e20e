"""The dispatcher: runs several programs in one process until a signal, and shuts them down in two phases."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Final

from notify.errors import ClosedError
from notify.process import SignalSafeEvent
from notify.program.program import Program
from notify.program.timers import Timers
from notify.settings import positive

__all__ = ["Dispatcher"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
DRAIN_S: Final = 10.0
POLL_S: Final = 0.02

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs programs, each in a thread of its own, until SIGINT, SIGTERM or `shutdown`.

    In the first phase of a shutdown it is *pending*: the programs finish their work in progress; ``service.suspend()`` delays the
    second phase. When no suspension is left, or after ``drain_s`` seconds, the shutdown has *arrived*: the programs leave the
    directory in the reverse order of their start. A second signal ends the first phase at once. Timers run until the programs
    are done; a timer's call that runs then may finish within ``drain_s``.

    Args:
        programs: the programs to run; they register in this order.
        drain_s: seconds that the first phase may take.
    """

    def __init__(self, *programs: Program, drain_s: float = DRAIN_S) -> None:
        self._programs = programs
        self._drain_s = positive(drain_s, "drain_s")
        self._stop_requested = SignalSafeEvent()
        self._stop_at_once = SignalSafeEvent()
        self._left = len(programs)
        self._changing = threading.Lock()
        self._problem: BaseException | None = None
        self.timers = Timers()
        """Timers that run while the dispatcher runs."""

    def run(self) -> None:
        """Run until a signal, until `shutdown`, or until all programs have ended by themselves. May be called once.

        Signals are handled only in the main thread, as Python does it.

        Raises:
            ClosedError: the dispatcher has run before.
            NotifyError: a service could not be registered; those before it are withdrawn again.
            Exception: the first exception that the ``run`` of a program raised, which shuts the others down in order, or that
                its ``pending`` or ``arrived`` raised; the other programs are shut down all the same.
        """
        if self._stop_requested.is_set:
            raise ClosedError("the dispatcher has run before: make another one")
        with self._handling_signals(), ExitStack() as stack:
            for program in self._programs:
                stack.enter_context(program)
            threads = [self._thread(program) for program in self._programs]
            self.timers.open()
            stack.callback(self.timers.close, timeout_s=0)
            for thread in threads:
                thread.start()
            if threads:
                self._stop_requested.wait()
            self._drain(threads)
        if self._problem is not None:
            raise self._problem

    def shutdown(self) -> None:
        """Shut down as on a signal. May be called from any thread, also by a program."""
        (self._stop_at_once if self._stop_requested.is_set else self._stop_requested).set()

    def _thread(self, program: Program) -> threading.Thread:
        # A daemon: a program that did not finish in time must not keep the process from ending.
        return threading.Thread(target=self._run, args=(program,), name=f"notify-{program.service.name}", daemon=True)

    def _run(self, program: Program) -> None:
        try:
            program.run()
        except BaseException as exc:
            log.exception("program %r raised an exception: all programs are shut down", program.service.name)
            self._record(exc)
            self._stop_requested.set()
        with self._changing:
            self._left -= 1
            if not self._left:
                self._stop_requested.set()

    def _drain(self, threads: list[threading.Thread]) -> None:
        """Run the first phase, which suspensions delay, and the second phase, which nothing delays."""
        self._stop_requested.set()
        for program in reversed(self._programs):
            if not self._notify(program.pending):
                Program.pending(program)  # else its `run` would not stop
        deadline = time.monotonic() + self._drain_s
        self._await(lambda: self._busy(threads), deadline)
        self._await(self._called, deadline)  # last: programs that still run may need the timers
        for program in reversed(self._programs):
            self._notify(program.arrived)

    def _notify(self, phase: Callable[[], None]) -> bool:
        """Call a program at the start of a phase. Returns ``False`` if it raised; the shutdown continues in any case."""
        try:
            phase()
        except BaseException as exc:
            log.exception("%r raised an exception: the shutdown continues", phase)
            self._record(exc)
            return False
        return True

    def _record(self, problem: BaseException) -> None:
        self._problem = self._problem or problem

    def _await(self, busy: Callable[[], list[str]], deadline: float) -> None:
        """Wait until ``busy`` returns no names, at most until the deadline or a second signal."""
        while busy() and not self._stop_at_once.wait(POLL_S) and time.monotonic() < deadline:
            continue
        for name in busy():
            log.warning(
                "%s is cut short: it was not done %s", name, "when a second signal came" if self._stop_at_once.is_set else "in time"
            )

    def _busy(self, threads: list[threading.Thread]) -> list[str]:
        """The names of the programs that still run, or delay the shutdown with a suspension."""
        pairs = zip(self._programs, threads, strict=True)
        return [program.service.name for program, thread in pairs if thread.is_alive() or not program.service.drain(0)]

    def _called(self) -> list[str]:
        """Stop the timers; the name of a timer's call that still runs."""
        return [] if self.timers.close(timeout_s=0) else ["a timer's call"]

    @contextmanager
    def _handling_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.signal(signum, self._on_signal) for signum in SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.shutdown()
