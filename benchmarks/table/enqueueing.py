"""Enqueueing jobs of one argument: one call each, and all in one call."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import notify
from benchmarks.table.rounds import Measured, Rounds, play
from benchmarks.table.running import environ_of, fill
from benchmarks.table.sides import SIDES

__all__ = ["enqueueing"]

SINGLE: Final = 2_000
BULK: Final = 10_000
ONE_BY_ONE: Final = {
    "notify": "notify",
    "rq": "rq",
    "huey": "huey",
    "dramatiq": "dramatiq",
    "blitzq": "blitzq",
    "blitzq-async": "blitzq:preload_async",
}
AT_ONCE: Final = {"notify": "notify:at_once", "rq": "rq:at_once", "blitzq": "blitzq:at_once"}
"""huey and Dramatiq have no call for many."""


def enqueueing(bus: notify.Bus, *, rounds: int, jobs: int | None, names: Sequence[str]) -> list[Rounds]:
    """Each side in a process of its own, whose connection is open."""
    sides: dict[str, Callable[[], Mapping[str, Measured]]] = {}
    for name, how in ONE_BY_ONE.items():
        if SIDES[name].is_here and (not names or name in names):
            sides[name] = partial(_round, bus, name, how, jobs)
    return play(sides, rounds=rounds, title="enqueueing")


def _round(bus: notify.Bus, name: str, how: str, jobs: int | None) -> dict[str, Measured]:
    single, bulk = jobs or SINGLE, jobs or BULK
    found = {"enqueue, one call each": _rate(bus, name, how, single)}
    if name in AT_ONCE:
        found["enqueue, all in one call"] = _rate(bus, name, AT_ONCE[name], bulk)
    return found


def _rate(bus: notify.Bus, name: str, how: str, count: int) -> Measured:
    bus.redis.flushdb()
    return Measured(per_s=count / fill(SIDES[name], "nothing", count, environ_of(bus, SIDES[name]), how=how, is_timed=True))
