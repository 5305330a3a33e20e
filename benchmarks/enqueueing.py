"""Enqueueing jobs that need a service, against RQ's jobs that need none."""

import time
from collections.abc import Callable
from typing import Final

import redis
import rq

import notify
from benchmarks.compare import Comparison, compare
from benchmarks.sample_jobs import take_note
from workers import Queue

__all__ = ["enqueue_many", "enqueue_one_by_one"]

SINGLE: Final = 1_000
BULK: Final = 5_000


def enqueue_one_by_one(bus: notify.Bus) -> Comparison:
    """One call after another; both sides send an argument, and RQ works as it comes: with pickle, on a client of redis-py."""

    def one_by_one(queue: rq.Queue) -> None:
        for number in range(SINGLE):
            queue.enqueue(take_note, number)

    return _compare(bus, "enqueue (ours: with needs)", SINGLE, one_by_one, peer_name="rq.Queue.enqueue")


def enqueue_many(bus: notify.Bus) -> Comparison:
    """Five thousand in one call."""

    def at_once(queue: rq.Queue) -> None:
        queue.enqueue_many([queue.prepare_data(take_note, (number,)) for number in range(BULK)])

    return _compare(bus, "enqueue_many (ours: with needs)", BULK, at_once, peer_name="rq.Queue.enqueue_many")


def _compare(bus: notify.Bus, work: str, count: int, fill: Callable[[rq.Queue], None], *, peer_name: str) -> Comparison:
    with redis.Redis.from_url(str(bus.settings.url)) as plain, bus.service("bench-service"):
        ours, peers = Queue("bench-enqueue", connection=bus.redis), rq.Queue("bench-enqueue-rq", connection=plain)
        found = compare(work, lambda: _rate(ours, count, fill), lambda: _rate(peers, count, fill), peer_name=peer_name)
        ours.empty()
        return found


def _rate(queue: rq.Queue, count: int, fill: Callable[[rq.Queue], None]) -> float:
    before, began = queue.count, time.perf_counter()
    fill(queue)
    rate = count / (time.perf_counter() - began)
    assert queue.count == before + count
    return rate
