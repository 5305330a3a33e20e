"""The leader: the one worker, of all on a database and namespace, that does what is to be done once and not by each of them.

The election costs nothing: a worker that renews its lease is told in the same command whether it leads (``renew_lease.lua``). A leader
that dies is followed by another one when its lease is over, one that ends in order within a second. A frozen leader may wake and
do one more thing while another one leads: so whatever a duty does is one atomic step, or has an id by which it is done once.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from notify.errors import ServerError
from notify.server import Backoff

__all__ = ["Duty", "Leader"]

RHYTHM_S: Final = 1.0
"""A duty that says nothing else is called so often."""
FAILED_S: Final = 10.0
"""One that raised is called again after so long: what it raises is to be read, and not to fill the log."""

Duty: TypeAlias = Callable[[], float | None]
"""Does what is to be done now, and returns in how many seconds it wants to be called again; ``None`` for a second."""

log = logging.getLogger(__name__)


class Leader:
    """Calls its duties while this worker leads, in a thread from `open` to `close`: one after the other, the renewals go on meanwhile.

    Args:
        duties: what a leader does. What one raises is logged and harms no other; a `ServerError` is an outage, and tried again.
    """

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._tasks = [_Task(duty) for duty in duties]
        self._leads_until = 0.0
        self._closing = self._is_hurried = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify-leader", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this worker leads; it does not any more when its lease is over, though nobody could tell it so."""
        return time.monotonic() < self._leads_until and not self._closing

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Do nothing any more; wait for the duty in hand."""
        self._closing = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def lead_until(self, end: float) -> None:
        """Lead until then by ``time.monotonic()``; 0 for not at all. Returns at once."""
        self._leads_until = end
        self._changed.set()  # each time: the thread may be finding out just now that the time before is over

    def hurry(self) -> None:
        """Call all duties now, whenever they wanted to be; for any thread."""
        self._is_hurried = True
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.clear()
            if self._closing:  # looked at after that, or it could go unheard
                return
            hurried, self._is_hurried = self._is_hurried, False
            for task in self._tasks:
                if self.leads and (hurried or task.is_due):
                    task.do()
            leads = self.leads
            for task in self._tasks if not leads else ():
                task.forget_outage()  # its end, while another one leads, is nothing to tell
            self._changed.wait(self._pause_s() if leads else None)

    def _pause_s(self) -> float:
        next_at = min((task.due_at for task in self._tasks), default=self._leads_until)
        return max(0.0, min(next_at, self._leads_until) - time.monotonic())


class _Task:
    """A duty, and when its turn is."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._name = getattr(duty, "__qualname__", repr(duty))
        self.forget_outage()
        self.due_at = 0.0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self.due_at

    def forget_outage(self) -> None:
        self._backoff = Backoff(log, self._name)

    def do(self) -> None:
        """Call the duty; whatever it meets, say when it is due again."""
        wait_s: float | None
        try:
            wait_s = self._duty()
            self._backoff.over()
        except ServerError as exc:
            wait_s = self._backoff.failed(exc)
        except Exception:  # whatever one duty meets must not keep the leader from the others
            log.exception("%s went wrong, and is tried again in %g s", self._name, FAILED_S)
            wait_s = FAILED_S
        self.due_at = time.monotonic() + (RHYTHM_S if wait_s is None else wait_s)
