"""Upkeep: how a process that uses the directory takes part in its sweeps.

Services and workers sweep all the time. Other processes sweep when it matters to them: once when they meet an overdue service, and all
the time while they wait for changes. Otherwise nobody would withdraw a service that died in a namespace without other services.
"""

import logging
import threading
from typing import Final

from notify.directory.monitor import Monitor
from notify.errors import NotifyError
from notify.server import Backoff, Client

__all__ = ["Upkeep"]

ROUNDS: Final = 2
"""The rounds of a single sweep: the first one suspects a service that nobody suspected, the second one withdraws it."""

log = logging.getLogger(__name__)


class Upkeep:
    """The sweeps of one process: single ones, and those of a monitor, which is started when it is first needed.

    Args:
        client: the server, the settings and the namespace to use.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._backoff = Backoff(log, "the sweep")
        self._lock = threading.Lock()
        self._monitor: Monitor | None = None
        self._unreadable: set[str] = set()
        self._is_closed = False

    def keep_sweeping(self) -> None:
        """Sweep in a thread from now on, until `close`; nothing happens if the thread runs already."""
        with self._lock:
            if self._monitor is None and not self._is_closed:
                self._monitor = Monitor(self._client).open()

    def sweep_once(self) -> None:
        """Suspect and withdraw the services that are due, because this process has met one. A failure is logged, and not raised."""
        monitor = Monitor(self._client)
        try:
            for _ in range(ROUNDS):
                if monitor.sweep(stays=False) > 0:
                    break
            self._backoff.over()
        except NotifyError as exc:
            self._backoff.failed(exc)

    def warn_unreadable(self, key: str) -> None:
        """Log that a key does not hold the description of a service; once for each key."""
        with self._lock:
            is_new = key not in self._unreadable
            self._unreadable.add(key)
        if is_new:
            log.warning("%s is no hash: it was not written by a service, and is passed over; delete it", key)

    def close(self) -> None:
        """Stop sweeping."""
        with self._lock:
            self._is_closed = True
            monitor = self._monitor
        if monitor is not None:
            monitor.close()
