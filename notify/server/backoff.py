"""Backoff: pauses that grow with the length of an outage, log lines when the outage begins and ends, and a retry loop.

Every loop of the package that waits for the Redis server takes its pauses from here.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import redis

from notify.errors import NotifyError, ServerUnreachableError
from notify.process import outage_over, outage_seen

__all__ = ["Backoff", "is_of_another_type", "is_temporary", "retry_while_away"]

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 2.0

AWAY: Final = (ServerUnreachableError, redis.ConnectionError, redis.TimeoutError)
"""Errors of an unreachable server."""
REFUSING: Final = (redis.ReadOnlyError, redis.exceptions.MasterDownError, redis.OutOfMemoryError)
"""Temporary refusals: the server is a replica at the moment, or has no memory left."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Flag(Protocol):
    """What is asked whether the process is to end, such as a ``threading.Event``."""

    def is_set(self) -> bool:
        """Return whether it is set."""


class Backoff:
    """Computes the pauses of one loop during an outage of the server, and logs the outage.

    Args:
        log: the logger to write to.
        name: the name of the loop in the log, such as ``the sweep``.
    """

    def __init__(self, log: logging.Logger, name: str) -> None:
        self._log = log
        self._name = name
        self._began_at: float | None = None
        self._logged_level = logging.NOTSET
        self._is_away = False

    def failed(self, problem: BaseException | str, *, level: int = logging.WARNING, cause: BaseException | None = None) -> float:
        """Record and log a failed attempt.

        The first failure of an outage is logged at ``level``, and so is a failure whose level differs from that of the failure
        before it. All others are logged at DEBUG. The log of a command or worker takes those of all parts of the process together if
        the server is away.

        Args:
            problem: what happened.
            level: its level in the log.
            cause: the error, where ``problem`` is a text.

        Returns:
            The seconds to wait before the next attempt: 0.05 plus half the duration of the outage so far, at most 2, times a
            random factor between 0.5 and 1.
        """
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now
        is_new_level = level != self._logged_level
        self._logged_level = level
        self._is_away = isinstance(cause or problem, (*AWAY, OSError))
        extra = outage_seen(self) if self._is_away else None
        self._log.log(level if is_new_level else logging.DEBUG, "%s waits for the server: %s", self._name, problem, extra=extra)
        return min(MAX_PAUSE_S, FIRST_PAUSE_S + (now - self._began_at) / 2) * random.uniform(0.5, 1.0)

    def over(self) -> None:
        """Record an attempt that succeeded. The first success after an outage is logged."""
        if self._began_at is not None:
            extra = outage_over(self) if self._is_away else None
            self._log.warning("%s has reached the server again after %.1f s", self._name, time.monotonic() - self._began_at, extra=extra)
            self._began_at, self._logged_level = None, logging.NOTSET


def is_of_another_type(problem: object) -> bool:
    """Return whether the server refused a command because a key holds another type, which stays so until an operator repairs it."""
    refusal = problem.__cause__ if isinstance(problem, NotifyError) else problem
    return isinstance(refusal, redis.ResponseError) and "WRONGTYPE" in str(refusal)


def retry_while_away(call: Callable[[bool], T], *, name: str, leaving: Flag, leave_s: float) -> T:
    """Repeat a call while the server is unreachable, read-only or out of memory, and return its result.

    Args:
        call: the call. Its argument is ``False`` in the first attempt and ``True`` in each repetition: an earlier attempt may
            have been carried out although its answer was lost.
        name: the name of the caller in the log.
        leaving: a flag that is set when this process is to end.
        leave_s: seconds for which the call is repeated once ``leaving`` is set. Before that, there is no limit.

    Raises:
        NotifyError, redis.RedisError: ``leaving`` is set and ``leave_s`` seconds are over, or the error is not a temporary one.
    """
    backoff: Backoff | None = None
    give_up_at: float | None = None
    while True:
        try:
            result = call(backoff is not None)
        except (NotifyError, redis.RedisError) as exc:
            if not is_temporary(exc):
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
        time.sleep(pause_s)  # `leaving.wait` would return at once after `leaving` is set: attempts would follow without a pause


def is_temporary(problem: BaseException) -> bool:
    """Return whether an error is likely to end without a change by an operator."""
    return isinstance(problem, (*AWAY, *REFUSING)) or isinstance(problem.__cause__, REFUSING)
