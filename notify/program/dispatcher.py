"""The dispatcher: runs several programs in one process until a signal, then shuts them down in two phases."""

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
"""Time between two checks whether a phase of the shutdown is over."""

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs programs, each in a thread of its own, until SIGINT, SIGTERM or `shutdown`.

    A shutdown has two phases. In the first phase, *pending*, the programs finish their work in progress. The second phase, *arrived*,
    begins when all programs have ended and no ``service.suspend()`` is left, or after ``drain_s`` seconds, or at once on a second
    signal. The services of the programs are then withdrawn in the reverse order of their start. Timers run until the programs
    have ended; a timer's call in progress may finish within ``drain_s``.

    Args:
        programs: the programs to run; they register in this order.
        drain_s: seconds that the first phase may take.
    """

    def __init__(self, *programs: Program, drain_s: float = DRAIN_S) -> None:
        self._programs = programs
        self._drain_s = positive(drain_s, "drain_s")
        self._stop_requested = SignalSafeEvent()
        self._stop_at_once = SignalSafeEvent()
        self._running = len(programs)
        self._lock = threading.Lock()
        self._problem: BaseException | None = None
        self.timers = Timers()
        """The timers of the dispatcher, which make their calls while it runs."""

    def run(self) -> None:
        """Run until a signal, until `shutdown`, or until all programs have ended by themselves. May be called once.

        Signals are handled only if this is called in the main thread, because Python allows no other.

        Raises:
            ClosedError: the dispatcher has run or was shut down before.
            NotifyError: a service could not be registered; the services registered before it are withdrawn.
            Exception: the first exception from ``run``, ``pending`` or ``arrived`` of a program. An exception in ``run`` starts the
                shutdown. The first exception is raised after the shutdown of all programs.
        """
        if self._stop_requested.is_set:
            raise ClosedError("the dispatcher has run or was shut down before: make another one")
        with self._signals_handled(), ExitStack() as stack:
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
        """Shut down, as a signal does: the second call ends the first phase at once. May be called from any thread."""
        (self._stop_at_once if self._stop_requested.is_set else self._stop_requested).set()

    def _thread(self, program: Program) -> threading.Thread:
        # A daemon thread: a program that has not ended in time must not keep the process from ending.
        return threading.Thread(target=self._run, args=(program,), name=f"notify-{program.service.name}", daemon=True)

    def _run(self, program: Program) -> None:
        """Run a program in its thread. An exception, or the end of the last program, starts the shutdown."""
        try:
            program.run()
        except BaseException as exc:
            log.exception("program %r raised an exception: all programs are shut down", program.service.name)
            self._record(exc)
            self._stop_requested.set()
        with self._lock:
            self._running -= 1
            if not self._running:
                self._stop_requested.set()

    def _drain(self, threads: list[threading.Thread]) -> None:
        """Run the first phase, which suspensions delay, and the second phase, which nothing delays."""
        self._stop_requested.set()
        for program in reversed(self._programs):
            if not self._notify(program.pending):
                Program.pending(program)  # an override raised: without this call its `run` would not stop
        deadline = time.monotonic() + self._drain_s
        self._wait_for(lambda: self._busy(threads), deadline)
        self._wait_for(self._close_timers, deadline)  # last: programs that still run may need the timers
        for program in reversed(self._programs):
            self._notify(program.arrived)

    def _notify(self, phase: Callable[[], None]) -> bool:
        """Call ``pending`` or ``arrived`` of a program. Returns ``False`` if it raised an exception, which is logged."""
        try:
            phase()
        except BaseException as exc:
            log.exception("%r raised an exception; the shutdown continues", phase)
            self._record(exc)
            return False
        return True

    def _record(self, problem: BaseException) -> None:
        """Keep the first exception, for `run` to raise."""
        self._problem = self._problem or problem

    def _wait_for(self, busy: Callable[[], list[str]], deadline: float) -> None:
        """Wait until ``busy`` returns no names, at most until the deadline or a second signal, and log the names that are left."""
        while busy() and not self._stop_at_once.wait(POLL_S) and time.monotonic() < deadline:
            continue
        for name in busy():
            log.warning(
                "%s is cut short: it was not done %s", name, "when a second signal came" if self._stop_at_once.is_set else "in time"
            )

    def _busy(self, threads: list[threading.Thread]) -> list[str]:
        """Return the names of the programs that still run, or whose service has a suspension or runs requests."""
        pairs = zip(self._programs, threads, strict=True)
        return [program.service.name for program, thread in pairs if thread.is_alive() or not program.service.drain(0)]

    def _close_timers(self) -> list[str]:
        """Close the timers. Returns a name for the log if a timer's call still runs, else nothing."""
        return [] if self.timers.close(timeout_s=0) else ["a timer's call"]

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """Handle `SIGNALS` in the block, if this is the main thread."""
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
