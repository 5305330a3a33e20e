"""Waits for the end of a callback in the horse."""

import logging
import math
import time
from collections.abc import Callable
from typing import Final

from workers.horse import Horse, Reply

__all__ = ["wait_for_callback"]

OVERDUE_S: Final = 2.0
"""Seconds after its timeout at which a callback that still runs is killed with its process."""

log = logging.getLogger(__name__)


def wait_for_callback(horse: Horse, name: str, *, timeout_s: float, pause_s: float, beat: Callable[[float], object]) -> None:
    """Wait until the horse has called a callback. If its process dies, that is logged.

    Args:
        horse: the horse, to which the task was given.
        name: the callback in words, for the log.
        timeout_s: the timeout of the callback; 0 or less: none.
        pause_s: seconds between two heartbeats.
        beat: sends a heartbeat; called with the seconds that the callback has taken so far.
    """
    began, limit_s = time.monotonic(), timeout_s + OVERDUE_S if timeout_s > 0 else math.inf
    while (end := horse.wait(min(pause_s, limit_s))) is None:
        if time.monotonic() - began >= limit_s:
            horse.kill()
        beat(time.monotonic() - began)
    if not isinstance(end, Reply):
        log.warning("the process of %s died: waitpid returned %d", name, end.status)
