"""An outage of the server, as those who ride it out see it: told when it begins and when it ends, tried again ever less often."""

import logging
import random
import time
from typing import Final

__all__ = ["Backoff"]

MAX_BACKOFF_S: Final = 2.0


class Backoff:
    """The outages that somebody meets, one after the other.

    Args:
        log: where they are told.
        who: meets them.
    """

    def __init__(self, log: logging.Logger, who: str) -> None:
        self._log = log
        self._who = who
        self._since: float | None = None

    def failed(self, problem: BaseException | str) -> float:
        """Note an attempt that failed; the first one is told. Returns the seconds to wait before the next one, with jitter."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._log.warning("%s waits for the server: %s", self._who, problem)
        else:
            self._log.debug("%s still waits for the server: %s", self._who, problem)
        return min(MAX_BACKOFF_S, 0.05 + (now - self._since) / 2) * random.uniform(0.5, 1.0)

    def over(self) -> None:
        """Note an attempt that succeeded; the first one after an outage is told."""
        if self._since is not None:
            self._log.warning("%s goes on after %.1f s", self._who, time.monotonic() - self._since)
            self._since = None
