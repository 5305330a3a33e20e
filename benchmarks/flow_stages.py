"""Flows: items through ten stages that do nothing, against threads joined by the queues of the standard library."""

import queue
import threading
import time
from typing import Any, Final

import notify
from benchmarks.compare import Comparison, compare
from notify.flows import discard, pipeline

__all__ = ["items_through_ten_stages"]

ITEMS: Final = 200_000
STAGES: Final = 10
WAITING: Final = 1_000
"""Items that may wait in front of a stage, on both sides."""


def items_through_ten_stages(_: notify.Bus) -> Comparison:
    """Items a second from a source through ten stages to a sink, each in a thread of its own."""
    return compare("items through ten stages", _ours, _peer, peer_name="threads and queue.Queue")


def _same(item: Any) -> Any:
    return item


def _ours() -> float:
    flow = pipeline(range(ITEMS), *[_same] * STAGES, discard)
    began = time.perf_counter()
    flow.run()
    rate = ITEMS / (time.perf_counter() - began)
    assert flow.counters()["discard"].taken == ITEMS
    return rate


def _peer() -> float:
    queues: list[queue.Queue[int | None]] = [queue.Queue(WAITING) for _ in range(STAGES + 1)]

    def stage(number: int) -> None:
        before, behind = queues[number], queues[number + 1]
        while (item := before.get()) is not None:
            behind.put(_same(item))
        behind.put(None)

    def source() -> None:
        for number in range(ITEMS):
            queues[0].put(number)
        queues[0].put(None)

    threads = [threading.Thread(target=source), *(threading.Thread(target=stage, args=(number,)) for number in range(STAGES))]
    began, taken = time.perf_counter(), 0
    for thread in threads:
        thread.start()
    while queues[-1].get() is not None:
        taken += 1
    rate = ITEMS / (time.perf_counter() - began)
    assert taken == ITEMS
    return rate
