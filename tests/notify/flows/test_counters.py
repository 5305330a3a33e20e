"""The counters of sources: waiting is not work."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from notify.flows import pipeline
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


@pytest.mark.parametrize("is_async", [False, True])
def test_a_source_that_waits_for_its_next_item_is_not_busy(is_async: bool) -> None:
    hold = threading.Event()

    def waiting() -> Iterator[int]:
        yield 1
        hold.wait(10)
        yield 2

    async def waiting_in_the_loop() -> AsyncIterator[int]:
        for item in waiting() if hold.is_set() else (1, 2):
            yield item
            while not hold.is_set():
                await asyncio.sleep(0.01)  # until it is set

    got: list[int] = []
    began = time.monotonic()
    with pipeline(waiting_in_the_loop if is_async else waiting, got.append, name="idle") as flow:
        wait_until(lambda: got == [1] and time.monotonic() - began > 0.4, what="the first item, and a wait")
        source, sink = flow.counters().values()
        assert source.busy_ms < 200  # while it waits
        assert sink.busy_ms < 200
        hold.set()
        wait_until(lambda: got == [1, 2], what="both items")
        assert next(iter(flow.counters().values())).busy_ms < 200  # and afterwards


def test_a_source_that_computes_its_items_is_busy() -> None:
    def computing() -> Iterator[int]:
        until = time.thread_time() + 0.2
        while time.thread_time() < until:
            sum(range(1_000))
        yield 1

    flow = pipeline(computing, lambda _: None)
    flow.run()
    assert flow.counters()["computing"].busy_ms >= 150
