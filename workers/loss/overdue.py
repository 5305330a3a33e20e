"""Overdue services: silent for their whole ttl, and not withdrawn yet. A queue or a worker that meets one sweeps the directory here."""

import time
from typing import Final

from notify.directory import Upkeep
from notify.server import Client

__all__ = ["OverdueServices"]

PAUSE_S: Final = 1.0
"""Seconds between two sweeps of one owner. While a service has a grace, it stays overdue, and every claim and enqueue meets it again."""


class OverdueServices:
    """Records the withdrawals of overdue services, by the same sweep as monitors: so suspicion, grace and brake keep their promises.

    Args:
        client: the client that the sweeps use.
    """

    def __init__(self, client: Client) -> None:
        self._upkeep = Upkeep(client)
        self._next_s = 0.0

    def settle(self) -> bool:
        """Sweep the directory, unless this was done within the last second. If the server is away, only a message is logged.

        A service that nobody swept for so long that Redis may have been away gets a grace: then it stays overdue for a ttl.

        Returns:
            Whether a sweep was made.
        """
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + PAUSE_S
        self._upkeep.sweep_once()
        return True
