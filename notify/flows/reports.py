"""The log of the ends of a flow: a flood of clients or bad frames must not become a flood of lines."""

import logging
import time
from collections import Counter
from typing import Final

__all__ = ["Reports"]

LOG_EVERY_S: Final = 1.0

log = logging.getLogger(__name__)


class Reports:
    """Counts by kind, and logs the first report of a kind in a second; the next line says how many there were meanwhile.

    Args:
        name: the end of the flow, in each line.
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
