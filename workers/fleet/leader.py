"""Leader election: the one worker per namespace that runs the shared duties (scheduler, cron, held jobs).

The election needs no command of its own: the renewal of a lease returns whether the worker leads (``renew_lease.lua``). When a leader
dies, another worker leads after its lease is over; when it closes, within a second. A frozen leader may wake up and finish one step
while another worker leads, and after a jump of the server's clock two may lead until the next renewal: so each step of a duty is one
atomic script, or has an id that makes it happen once. What is due is decided in these scripts, by the clock of the server. The clock of
the host counts only how long ago a renewal was sent, and the pauses between two calls of a duty.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from notify.errors import ServerError
from notify.process import steady_s
from notify.server import Backoff

__all__ = ["Duty", "Leader"]

DEFAULT_WAIT_S: Final = 1.0
"""Seconds until the next call of a duty that returns ``None``."""
ERROR_WAIT_S: Final = 10.0
"""Seconds until the next call of a duty that raised an unexpected error. Long, so that its tracebacks do not fill the log."""

Duty: TypeAlias = Callable[[], float | None]
"""Does the work that is due, and returns the seconds until its next call; ``None`` for a second."""

log = logging.getLogger(__name__)


class Leader:
    """Calls the duties one after the other while this worker leads, in a thread from `open` to `close`.

    Args:
        duties: the duties of a leader. An error of one is logged and does not stop the others. A duty that raises a `ServerError` is
            called again after a backoff, one that raises another error after ten seconds.
    """

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._tasks = [_Task(duty) for duty in duties]
        self._leads_until = 0.0
        self._closing = self._is_hurried = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-leader", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this worker leads. False as soon as its lease is over by its own clock, even if Redis cannot be asked."""
        return steady_s() < self._leads_until and not self._closing

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop calling duties; wait for the one that runs."""
        self._closing = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def lead_until(self, end: float) -> None:
        """Lead until a moment of `steady_s`; 0 to stop leading. Returns at once."""
        self._leads_until = end
        self._changed.set()  # even if this worker led before: the thread may just have found that its lead was over

    def hurry(self) -> None:
        """Have the thread call all duties now, whether due or not. Returns at once; may be called in any thread."""
        self._is_hurried = True
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.clear()
            if self._closing:  # read after clear(), or a close in between would be missed
                return
            hurried, self._is_hurried = self._is_hurried, False
            for task in self._tasks:
                if self.leads and (hurried or task.is_due):
                    task.do()
            leads = self.leads
            for task in self._tasks if not leads else ():
                task.forget_outage()  # while another worker leads, the end of the outage is not logged here
            self._changed.wait(self._pause_s() if leads else None)

    def _pause_s(self) -> float:
        due_s = min((task.due_at for task in self._tasks), default=math.inf) - time.monotonic()
        return max(0.0, min(due_s, self._leads_until - steady_s()))


class _Task:
    """A duty, and the moment of its next call, by ``time.monotonic``: a pause may be longer if the machine is suspended."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._name = getattr(duty, "__qualname__", repr(duty))
        self.forget_outage()
        self.due_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the moment of its next call has come."""
        return time.monotonic() >= self.due_at

    def forget_outage(self) -> None:
        """Start with a new backoff, which logs no end of an earlier outage."""
        self._backoff = Backoff(log, self._name)

    def do(self) -> None:
        """Call the duty, and set the moment of its next call whether it succeeds or raises."""
        wait_s: float | None
        try:
            wait_s = self._duty()
            self._backoff.over()
        except ServerError as exc:
            wait_s = self._backoff.failed(exc)
        except Exception:  # an error of one duty must not stop the others
            log.exception("%s failed; it is called again in %g s", self._name, ERROR_WAIT_S)
            wait_s = ERROR_WAIT_S
        self.due_at = time.monotonic() + (DEFAULT_WAIT_S if wait_s is None else wait_s)
