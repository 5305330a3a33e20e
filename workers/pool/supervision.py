"""How a command runs a pool: until a signal comes or all workers have ended, with words about it, and an exit code."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from workers.pool.end_requests import EndRequests, InsistedError
from workers.pool.pool import Pool

__all__ = ["CUT", "count_of", "supervise"]

CUT: Final = 4
"""Exit code of a command that ended jobs before they were done."""
CHECK_S: Final = 0.2
"""Seconds between two looks at the workers."""


def supervise(
    pool: Pool,
    *,
    says: str,
    talk: Callable[[str], object],
    grace_s: float | None = None,
    showing: AbstractContextManager[Callable[[], object]] | None = None,
) -> int:
    """Run a pool until a signal comes or all workers have ended. Call it in the main thread.

    At SIGINT, SIGTERM or SIGHUP the workers finish their jobs. A second signal, an error, or the end of the grace ends these at once.

    Args:
        pool: the pool, which is not open yet.
        says: what to say when the workers have been started, after their number.
        talk: prints a line.
        grace_s: seconds after which jobs are ended that still run; ``None``: as long as it takes.
        showing: a block around the run, with a function that is called five times a second.

    Returns:
        The exit code: `CUT` if jobs were ended before they were done, else that of `EndRequests`.

    Raises:
        WorkersFailedError: a worker died too often.
    """
    with EndRequests() as requests:
        try:
            pool.open()
            requests.may_insist = True
            talk(f"{count_of(pool)} {says}")
            with nullcontext(_nothing) if showing is None else showing as show:
                _watch(pool, requests, talk=talk, grace_s=grace_s, show=show)
            pool.close(grace_s=grace_s)
        except InsistedError:
            pool.close(grace_s=0.0)
        except BaseException:
            pool.close(grace_s=0.0)
            raise
    if pool.cut_count:
        talk(f"ended {_number(pool.cut_count, 'job')} before the end; with a retry left it is queued again, else it failed")
        return CUT
    return requests.exit_code


def _watch(pool: Pool, requests: EndRequests, *, talk: Callable[[str], object], grace_s: float | None, show: Callable[[], object]) -> None:
    """Keep the workers running until a signal comes or all of them have ended. Then tell them to end, and say what they still do."""
    while pool.check() and not requests.wait(CHECK_S):
        show()
    if requests.asked:
        pool.stop()
        busy, silent = pool.count_busy()
        # Workers that have not answered wait for the server: they may have just been given a job.
        waiting = f", and waiting for {_number(silent, 'worker')}" if silent else ""
        if busy or silent:
            limit = "" if grace_s is None else f", for {grace_s:g} s at most"
            talk(f"finishing {_number(busy, 'job')}{waiting}{limit}; again to stop at once")


def count_of(pool: Pool) -> str:
    """Return the number of workers in words."""
    return _number(pool.size, "worker")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _nothing() -> None:
    """Show nothing."""
