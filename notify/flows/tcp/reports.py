"""What an endpoint has done, and its log: a flood of clients must not become a flood of lines."""

import logging
import time
from collections import Counter
from typing import Final

import msgspec

__all__ = ["EndpointCounts", "Reports"]

LOG_EVERY_S: Final = 1.0

log = logging.getLogger("notify.flows.tcp")


class EndpointCounts(msgspec.Struct, frozen=True):
    """What an endpoint has done so far.

    Args:
        clients: connections that are open now.
        connected: connections that were accepted, or made.
        refused: clients that were not let in: too many, not allowed, a wrong token, no handshake.
        closed: connections that this side closed for a reason, such as a frame that is too long, or idleness.
        received: frames that came in.
        bad: frames that came in and could not be used.
        sent: frames that were given to the sink; each goes to all clients.
        dropped: frames that a client did not get, since it read too slowly or was lost; counted for each client.
    """

    clients: int = 0
    connected: int = 0
    refused: int = 0
    closed: int = 0
    received: int = 0
    bad: int = 0
    sent: int = 0
    dropped: int = 0


class Reports:
    """Counts by kind, and logs the first report of a kind in a second; the next line says how many there were meanwhile.

    Args:
        name: the endpoint.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._logged_at: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()
        self._levels: dict[str, int] = {}

    def note(self, kind: str, message: str, *, count: int = 1, level: int = logging.WARNING) -> None:
        """Count and log something that happened."""
        self.counts[kind] += count
        now = time.monotonic()
        if now - self._logged_at.get(kind, -LOG_EVERY_S) < LOG_EVERY_S:
            self._unlogged[kind] += count
            self._levels[kind] = level
            return
        more = self._unlogged.pop(kind, 0)
        self._logged_at[kind] = now
        log.log(level, "%s: %s%s", self.name, message, f" ({more} more of that kind before it)" if more else "")

    def finish(self) -> None:
        """Log how many reports were left out since the last line of their kind."""
        for kind, more in self._unlogged.items():
            log.log(self._levels[kind], "%s: %d more of the kind %r", self.name, more, kind)
        self._unlogged.clear()
