"""The plain functions that the sides of a throughput round run as jobs, the same for all of them."""

import time

from benchmarks.tally import COUNTER, client, tally

__all__ = ["WORK", "increment", "nothing", "pause_1ms", "pause_10ms"]


def nothing(total: int) -> None:
    """Do nothing but be counted."""
    tally().count(total)


def increment(total: int) -> None:
    """One command."""
    client().incr(COUNTER)
    tally().count(total)


def pause_1ms(total: int) -> None:
    """Wait for 1 ms, in place of work."""
    time.sleep(0.001)
    tally().count(total)


def pause_10ms(total: int) -> None:
    """Wait for 10 ms, in place of work."""
    time.sleep(0.01)
    tally().count(total)


WORK = {function.__name__: function for function in (nothing, increment, pause_1ms, pause_10ms)}
