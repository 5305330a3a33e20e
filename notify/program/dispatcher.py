"""Several services in one process, run until a signal, and shut down in two phases."""

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
    """Runs programs, each in a thread of its own, until SIGINT, SIGTERM, or `shutdown`.

    Then all are told that the shutdown is *pending*: they finish what they have in hand, held up by ``service.suspend()``.
    When nobody holds it up any more, or after ``drain_s``, it has *arrived*, and they leave the directory in the opposite
    order of their start. A second signal does not wait. Timers go on until the programs are done; the call that runs then may
    finish, within the same time.

    Args:
        programs: what to run; they register in this order.
        drain_s: seconds that the first phase may take.
    """

    def __init__(self, *programs: Program, drain_s: float = DRAIN_S) -> None:
        self._programs = programs
        self._drain_s = positive(drain_s, "drain_s")
        self._asked = SignalSafeEvent()
        self._hurried = SignalSafeEvent()
        self._left = len(programs)
        self._changing = threading.Lock()
        self._problem: BaseException | None = None
        self.timers = Timers()
        """Calls at a later time, or again and again, while the dispatcher runs."""

    def run(self) -> None:
        """Run until a signal, until `shutdown`, or until all programs have ended by themselves. Once.

        Signals are heard where Python hears them: in the main thread.

        Raises:
            NotifyError: a service could not be registered; those before it are withdrawn again.
            Exception: what the ``run`` of a program raised, which ends the others too, in order; or else the first that its
                ``pending`` or ``arrived`` raised, after all were told: nothing dies in silence.
        """
        if self._asked.is_set:
            raise ClosedError("this dispatcher has run before: make another one")
        with self._hearing_signals(), ExitStack() as stack:
            for program in self._programs:
                stack.enter_context(program)
            threads = [self._thread(program) for program in self._programs]
            self.timers.open()
            stack.callback(self.timers.close, timeout_s=0)
            for thread in threads:
                thread.start()
            if threads:
                self._asked.wait()
            self._drain(threads)
        if self._problem is not None:
            raise self._problem

    def shutdown(self) -> None:
        """End `run` as a signal does. May be called from any thread, and from a program."""
        (self._hurried if self._asked.is_set else self._asked).set()

    def _thread(self, program: Program) -> threading.Thread:
        # A daemon: what was cut short must not keep the process from ending.
        return threading.Thread(target=self._run, args=(program,), name=f"notify-{program.service.name}", daemon=True)

    def _run(self, program: Program) -> None:
        try:
            program.run()
        except BaseException as exc:
            log.exception("%r ended with an error, and with it the rest", program.service.name)
            self._note(exc)
            self._asked.set()
        with self._changing:
            self._left -= 1
            if not self._left:
                self._asked.set()

    def _drain(self, threads: list[threading.Thread]) -> None:
        """Phase one, which may be held up, and phase two, which may not."""
        self._asked.set()
        for program in reversed(self._programs):
            if not self._tell(program.pending):
                Program.pending(program)  # or its run would not hear of it
        deadline = time.monotonic() + self._drain_s
        self._await(lambda: self._busy(threads), deadline)
        self._await(self._called, deadline)  # last: who is busy may count on the timers
        for program in reversed(self._programs):
            self._tell(program.arrived)

    def _tell(self, phase: Callable[[], None]) -> bool:
        """Tell a program of a phase. Returns whether it took it; if it raises, the others are told all the same."""
        try:
            phase()
        except BaseException as exc:
            log.exception("%r raised: the shutdown goes on", phase)
            self._note(exc)
            return False
        return True

    def _note(self, problem: BaseException) -> None:
        self._problem = self._problem or problem

    def _await(self, busy: Callable[[], list[str]], deadline: float) -> None:
        """Wait until nobody is busy, in time and no longer than until a second signal."""
        while busy() and not self._hurried.wait(POLL_S) and time.monotonic() < deadline:
            continue
        for name in busy():
            log.warning("%s is cut short: it was not done %s", name, "when a second signal came" if self._hurried.is_set else "in time")

    def _busy(self, threads: list[threading.Thread]) -> list[str]:
        """The programs that run still, or hold the shutdown up."""
        pairs = zip(self._programs, threads, strict=True)
        return [program.service.name for program, thread in pairs if thread.is_alive() or not program.service.drain(0)]

    def _called(self) -> list[str]:
        """The call of a timer that runs still; there will be no other."""
        return [] if self.timers.close(timeout_s=0) else ["a timer's call"]

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.signal(signum, self._hear) for signum in SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _hear(self, _signum: int, _frame: FrameType | None) -> None:
        self.shutdown()
