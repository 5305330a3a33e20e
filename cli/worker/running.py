"""Runs a pool of workers within a block of a command, and prints what it reports."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.output import Output
from cli.signals import HeldSignals
from workers import Pool

__all__ = ["talking", "working"]


def talking(output: Output) -> Callable[[str], None]:
    """Return a function that prints the reports of a pool: the lines of a traceback, if there is one, are lines of the output."""
    return lambda report: output.talk(*report.split("\n"))


@contextmanager
def working(pool: Pool, *, grace_s: float | None = None) -> Iterator[Pool]:
    """Run a pool within the block. At the end its workers finish their jobs; a second signal, or an error, ends these at once.

    Args:
        pool: the pool.
        grace_s: seconds after which jobs are ended that still run; ``None``: as long as it takes.
    """
    try:
        with HeldSignals():
            pool.open()
        yield pool
        pool.close(grace_s=grace_s)
    except BaseException:
        pool.close(grace_s=0.0)
        raise
