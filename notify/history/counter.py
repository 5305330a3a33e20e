"""Counts what only a process can notice, such as a gap: sent in batches, at most once a second."""

import threading
import time
from contextlib import suppress
from typing import Final

from notify.errors import ClosedError, ServerError
from notify.history.prelude import history_prelude
from notify.server import Client, ScriptRunner

__all__ = ["Counter"]

PAUSE_S: Final = 1.0
"""The least time between two batches."""
MOST: Final = 100
"""Different fields that a batch holds; more are dropped until it is sent."""


class Counter(ScriptRunner):
    """Collects counts. Threads may share it. A count that cannot be sent is lost.

    Args:
        client: the server to send to.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client, "notify.history", prelude=history_prelude(client.settings, client.own_keys))
        self._is_on = client.settings.history == "on"
        self._collected: dict[str, int] = {}
        self._sent_at = 0.0
        self._collecting = threading.Lock()

    def count(self, field: str, number: int = 1) -> None:
        """Count something; ``field`` as from `field_of`. Sends what is collected if the last batch was sent a second ago."""
        if not self._is_on:
            return
        with self._collecting:
            if field in self._collected or len(self._collected) < MOST:
                self._collected[field] = self._collected.get(field, 0) + number
        self.send_due()

    def send_due(self) -> None:
        """Send what is collected, if there is anything and the last batch was sent a second ago."""
        if self._collected and time.monotonic() - self._sent_at >= PAUSE_S:
            self.send()

    def send(self) -> None:
        """Send what is collected, if there is anything."""
        with self._collecting:
            collected, self._collected = self._collected, {}
            self._sent_at = time.monotonic()
        if not collected:
            return
        args = [part for field, number in collected.items() for part in (field, number)]
        with suppress(ServerError, ClosedError):  # the history lacks it then
            self.run("count", [], args, action="counting")
