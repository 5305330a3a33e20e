"""Dramatiq's side of a throughput round: its broker and middleware as they come, which keep no results."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.tally import COUNTER, URL, client, tally

__all__ = ["broker", "preload"]


broker = RedisBroker(url=os.environ[URL])
dramatiq.set_broker(broker)


@dramatiq.actor(broker=broker)
def nothing(total: int) -> None:
    tally().count(total)


@dramatiq.actor(broker=broker)
def increment(total: int) -> None:
    client().incr(COUNTER)
    tally().count(total)


def preload(name: str, count: int) -> None:
    actor = {"nothing": nothing, "increment": increment}[name]
    for _ in range(count):
        actor.send(count)
