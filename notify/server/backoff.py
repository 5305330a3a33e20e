"""Backoff: pauses that grow with the length of an outage, a log line when it begins and one when it ends, and a retry loop.

Every loop that waits for the Redis server takes its pauses from here.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import redis

from notify.errors import NotifyError, ServerUnreachableError

__all__ = ["Backoff", "retry_while_away"]

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 2.0

AWAY: Final = (ServerUnreachableError, redis.ConnectionError, redis.TimeoutError)
REFUSING: Final = (redis.ReadOnlyError, redis.exceptions.MasterDownError, redis.OutOfMemoryError)
"""Refusals that pass: the server is a replica at the moment, or has no memory left."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Backoff:
    """The pauses of one loop during an outage of the server, and the log lines about it.

    Args:
        log: the logger to write to.
        name: who waits for the server, as the log calls it.
    """

    def __init__(self, log: logging.Logger, name: str) -> None:
        self._log = log
        self._name = name
        self._began_at: float | None = None
        self._logged_level = logging.NOTSET

    def failed(self, problem: BaseException | str, *, level: int = logging.WARNING) -> float:
        """Record a failed attempt.

        It is logged at ``level`` if it is the first of an outage, or the first at this level, and for debugging otherwise.

        Returns:
            The seconds to wait before the next attempt: half of the time that the outage has lasted, at most two seconds, with jitter.
        """
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now
        is_news = level != self._logged_level
        self._logged_level = level
        self._log.log(level if is_news else logging.DEBUG, "%s waits for the server: %s", self._name, problem)
        return min(MAX_PAUSE_S, FIRST_PAUSE_S + (now - self._began_at) / 2) * random.uniform(0.5, 1.0)

    def over(self) -> None:
        """Record an attempt that succeeded. The first one after an outage is logged."""
        if self._began_at is not None:
            self._log.warning("%s goes on after %.1f s", self._name, time.monotonic() - self._began_at)
            self._began_at, self._logged_level = None, logging.NOTSET


def retry_while_away(call: Callable[[bool], T], *, name: str, leaving: threading.Event, leave_s: float) -> T:
    """Call until the server answers, however long it is unreachable, read-only or out of memory. Returns what ``call`` returns.

    Args:
        call: takes ``True`` if it was tried before: the first attempt may have been carried out and its answer lost.
        name: who waits for the server, as the log calls it.
        leaving: set when this process is to end. From then on the outage is waited for no longer than ``leave_s``.
        leave_s: seconds for which to go on trying once ``leaving`` is set.

    Raises:
        NotifyError, redis.RedisError: the server is still away and this process is to end, or the server refused for good.
    """
    backoff: Backoff | None = None
    give_up_at: float | None = None
    while True:
        try:
            result = call(backoff is not None)
        except (NotifyError, redis.RedisError) as exc:
            if not _passes(exc):
                raise
            if leaving.is_set():
                give_up_at = give_up_at or time.monotonic() + leave_s
                if time.monotonic() > give_up_at:
                    raise
            backoff = backoff or Backoff(log, name)
            pause_s = backoff.failed(exc)
        else:
            if backoff is not None:
                backoff.over()
            return result
        time.sleep(pause_s)  # not a wait for `leaving`: once that is set, attempts would follow without a pause


def _passes(problem: BaseException) -> bool:
    """Return whether a problem is likely to go away by itself."""
    return isinstance(problem, (*AWAY, *REFUSING)) or isinstance(problem.__cause__, REFUSING)
