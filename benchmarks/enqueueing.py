"""Enqueueing jobs, without and with a need, against RQ and huey, whose jobs need none."""

import time
from collections.abc import Callable, Mapping
from typing import Final

import redis
import rq
from huey import RedisHuey

import notify
from benchmarks.compare import compare_many
from benchmarks.sample_jobs import keep, take_note
from workers import Queue

__all__ = ["enqueue_many", "enqueue_one_by_one"]

SINGLE: Final = 1_000
BULK: Final = 5_000
NOTE: Final = "x"


def enqueue_one_by_one(bus: notify.Bus) -> str:
    """One call after another. All sides send an argument, and the others work as they come: with pickle, on a client of redis-py."""

    def one_by_one(queue: rq.Queue) -> None:
        for _ in range(SINGLE):
            queue.enqueue(keep, NOTE)

    def with_needs(queue: rq.Queue) -> None:
        for number in range(SINGLE):
            queue.enqueue(take_note, number)

    return _compare(bus, "enqueue", SINGLE, one_by_one, with_needs, has_huey=True)


def enqueue_many(bus: notify.Bus) -> str:
    """Five thousand in one call."""

    def at_once(queue: rq.Queue) -> None:
        queue.enqueue_many([queue.prepare_data(keep, (NOTE,)) for _ in range(BULK)])

    def with_needs(queue: rq.Queue) -> None:
        queue.enqueue_many([queue.prepare_data(take_note, (number,)) for number in range(BULK)])

    return _compare(bus, "enqueue_many", BULK, at_once, with_needs, has_huey=False)


def _compare(
    bus: notify.Bus, work: str, count: int, plain: Callable[[rq.Queue], None], with_needs: Callable[[rq.Queue], None], *, has_huey: bool
) -> str:
    url = str(bus.settings.url)
    with redis.Redis.from_url(url) as client, bus.service("bench-service"):
        ours, theirs = Queue("bench-enqueue", connection=bus.redis), rq.Queue("bench-enqueue-rq", connection=client)
        peers: Mapping[str, Callable[[], float]] = {
            "ours, with needs": lambda: _rate(ours, count, with_needs),
            "rq.Queue": lambda: _rate(theirs, count, plain),
            **({"huey": _huey(url, count)} if has_huey else {}),
        }
        found = compare_many(f"{work}, without needs", lambda: _rate(ours, count, plain), peers)
        ours.empty()
        return "\n".join(map(str, found))


def _rate(queue: rq.Queue, count: int, fill: Callable[[rq.Queue], None]) -> float:
    before, began = queue.count, time.perf_counter()
    fill(queue)
    rate = count / (time.perf_counter() - began)
    assert queue.count == before + count
    return rate


def _huey(url: str, count: int) -> Callable[[], float]:
    huey = RedisHuey("bench-enqueue", url=url)

    @huey.task()
    def take(_: str) -> None: ...

    def rate() -> float:
        began = time.perf_counter()
        for _ in range(count):
            take(NOTE)
        return count / (time.perf_counter() - began)

    return rate
