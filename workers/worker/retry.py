"""Asking again while the server is away: what was done is not lost because nobody could be told."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import redis

from notify.errors import NotifyError, ServerUnreachableError

__all__ = ["insist"]

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0

AWAY: Final = (ServerUnreachableError, redis.ConnectionError, redis.TimeoutError)
REFUSING: Final = (redis.ReadOnlyError, redis.exceptions.MasterDownError, redis.OutOfMemoryError)
"""It is a replica just now, or has no memory just now."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def insist(act: Callable[[bool], T], *, leaving: threading.Event, leave_s: float) -> T:
    """Do something with the server, however long it is away.

    Args:
        act: what; told whether it was tried before, so that it does nothing twice.
        leaving: set when this process shall end: then it gives up sooner.
        leave_s: for how many seconds it still tries then.

    Raises:
        NotifyError, redis.RedisError: the server is away, and we are leaving; or it refused, and would again.
    """
    pause_s, again, give_up_at = FIRST_PAUSE_S, False, None
    while True:
        try:
            return act(again)
        except (NotifyError, redis.RedisError) as exc:
            if not _passes(exc):
                raise
            if leaving.is_set():
                give_up_at = give_up_at or time.monotonic() + leave_s
                if time.monotonic() > give_up_at:
                    raise
            log.warning("%s; trying again in %.2g s", exc, pause_s)
        again = True
        time.sleep(pause_s * random.uniform(0.8, 1.0))
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def _passes(problem: BaseException) -> bool:
    """Whether it is worth another try."""
    return isinstance(problem, (*AWAY, *REFUSING)) or isinstance(problem.__cause__, REFUSING)
