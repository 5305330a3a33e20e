"""Dramatiq's side of a throughput round: its broker and middleware as they come, which keep no results."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.tally import URL
from benchmarks.work import WORK

__all__ = ["broker", "preload"]


broker = RedisBroker(url=os.environ[URL])
dramatiq.set_broker(broker)
ACTORS = {name: dramatiq.actor(function, broker=broker) for name, function in WORK.items()}


def preload(name: str, count: int) -> None:
    """Enqueue ``count`` jobs, one call each: Dramatiq has no other way."""
    for _ in range(count):
        ACTORS[name].send(count)
