"""How a worker starts while the server has no room for its connections (``maxclients``): it waits, and says so."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import redis

from notify.errors import NotifyError
from notify.server import Backoff
from workers.worker.finish import FinishingWorker

__all__ = ["start_step", "when_admitted"]

LOOK_S: Final = 0.05
"""Seconds between two looks whether the worker was asked to end: the handler of the signal does not end a ``sleep``."""

SIGNS: Final = ("max number of clients reached", "closed by server")
"""The message of the server, and that of redis-py if the server has closed the connection first."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def when_admitted(act: Callable[[], T], *, name: str, is_leaving: Callable[[], bool] = lambda: False) -> T:
    """Call a function until the server accepts its connections, and return its result. Any other error is raised at once.

    Args:
        act: the function.
        name: the name of the caller in the log.
        is_leaving: asked during the pauses whether this process is to end.

    Raises:
        SystemExit: it is to end.
    """
    backoff = Backoff(log, name)
    while True:
        try:
            result = act()
        except (NotifyError, redis.RedisError, OSError) as exc:
            if not _is_full(exc):
                raise
            until = time.monotonic() + backoff.failed(f"it accepts no more connections, see maxclients in its configuration ({exc})")
        else:
            backoff.over()
            return result
        while (left_s := until - time.monotonic()) > 0:
            if is_leaving():
                raise SystemExit
            time.sleep(min(LOOK_S, left_s))


def start_step(worker: FinishingWorker, act: Callable[[], object]) -> None:
    """Take a step of the start of a worker as soon as the server accepts its connections; errors as for `when_admitted`.

    A worker that is told to end meanwhile undoes the steps before.
    """
    try:
        when_admitted(act, name=f"worker {worker.name}", is_leaving=lambda: worker._stop_requested)
    except SystemExit:
        with suppress(NotifyError, redis.RedisError, OSError):  # what RQ has of the worker expires
            worker.teardown()  # type: ignore[no-untyped-call]  # RQ leaves it untyped
        raise


def _is_full(problem: BaseException | None) -> bool:
    """Return whether the server closed a connection that it had just accepted. Its message about that often does not arrive."""
    while problem is not None:
        if isinstance(problem, ConnectionResetError | BrokenPipeError) or any(sign in str(problem) for sign in SIGNS):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
