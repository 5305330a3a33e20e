"""The short ways of single items in the event loop: each item arrives once and in order, by whichever way it comes."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from notify.flows import Context, Flow, Items, Source, TakesMany, pipeline
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


class Sink(TakesMany):
    """Takes items in the event loop, and notes by which way they came."""

    outlets = ()

    def __init__(self) -> None:
        self.now: list[Any] = []
        self.many: list[Any] = []
        self.all: list[Any] = []
        self.refuses: set[Any] = set()
        self.hook: Any = None

    async def take_many(self, items: list[Any]) -> None:
        self.many += items
        self.all += items

    def take_now(self, item: Any) -> bool:
        if item in self.refuses:
            return False
        if self.hook is not None:
            self.hook(item)
        self.now.append(item)
        self.all.append(item)
        return True


def given(items: "queue.Queue[Any]") -> Iterator[Any]:
    while True:
        try:
            yield items.get(timeout=0.01)
        except queue.Empty:
            yield None


def is_idle(flow: Flow, sink: Sink, count: int) -> None:
    wait_until(lambda: len(sink.all) == count and flow.counters()["Sink"].taken == count, what=f"{count} items")


def test_a_single_item_is_taken_at_once_by_a_stage_that_waits() -> None:
    items, sink = queue.Queue[Any](), Sink()
    with pipeline(given(items), sink) as flow:
        for number in range(100):
            items.put(number)
            is_idle(flow, sink, number + 1)
        for number in range(100, 3_000):
            items.put(number)
        is_idle(flow, sink, 3_000)
    assert sink.all == list(range(3_000))
    assert len(sink.now) > 50
    assert flow.counters()["Sink"].taken == 3_000


def test_an_item_that_comes_meanwhile_is_not_left_waiting() -> None:
    items, sink = queue.Queue[Any](), Sink()
    with pipeline(given(items), sink) as flow:
        items.put(0)
        is_idle(flow, sink, 1)

        def put_another(item: Any) -> None:
            if item == 1:
                items.put(2)
                wait_until(lambda: flow.counters()["given"].out == 3, what="the item in the queue")

        sink.hook = put_another
        items.put(1)
        is_idle(flow, sink, 3)
    assert sink.all == [0, 1, 2]


@pytest.mark.parametrize("problem", [ValueError("no"), None])
def test_an_item_that_cannot_be_taken_at_once_is_taken_in_turn(problem: Exception | None) -> None:
    items, sink = queue.Queue[Any](), Sink()

    def fail(item: Any) -> None:
        if problem is not None and item == 1:
            raise problem

    sink.hook = fail
    sink.refuses = set() if problem else {1}
    with pipeline(given(items), sink) as flow:
        for number in range(3):
            items.put(number)
            is_idle(flow, sink, number + 1)
    assert sink.all == [0, 1, 2]
    assert 1 in sink.many


class Loop(Source):
    """A source in the event loop that offers each item, and yields it if it is not taken."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.offered = self.yielded = 0
        self.comes = asyncio.Event()
        self.stops = False

    async def open(self, context: Context) -> None:
        self.loop, self.offer = asyncio.get_running_loop(), context.offer

    def give(self, *items: Any) -> None:
        self.loop.call_soon_threadsafe(self._give, items)

    def _give(self, items: tuple[Any, ...]) -> None:
        for item in items:
            if not self.waiting and self.offer(item):
                self.offered += 1
            else:
                self.waiting.append(item)
                self.comes.set()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while not self.stops or self.waiting:
            self.comes.clear()
            if not self.waiting:
                await self.comes.wait()
            found, self.waiting = self.waiting, []
            self.yielded += len(found)
            yield Items(found)

    def stop(self) -> None:
        def end() -> None:
            self.stops = True
            self.comes.set()

        self.loop.call_soon_threadsafe(end)


def test_a_source_in_the_loop_may_offer_items_and_their_order_stays() -> None:
    source, got = Loop(), list[Any]()
    with pipeline(source, got.append):
        for number in range(0, 300, 3):
            source.give(number)
            source.give(number + 1, number + 2)
            if number < 30:
                wait_until(lambda number=number: len(got) == number + 3, what="the items so far")
        wait_until(lambda: len(got) == 300, what="all items")
    assert got == list(range(300))
    assert source.offered > 0
    assert source.yielded > 0  # the first one at least: its type was not known


def test_nothing_is_taken_by_the_short_way_while_the_flow_is_held() -> None:
    source, got = Loop(), list[Any]()
    with pipeline(source, got.append) as flow:
        source.give(0)
        wait_until(lambda: got == [0], what="the first item")
        flow.hold()
        source.give(1)
        wait_until(lambda: bool(source.waiting) or source.yielded == 2, what="the item in the source")
        source.give(2)
        assert source.offered == 0
        flow.release()
        wait_until(lambda: got == [0, 1, 2], what="all items")


def test_a_full_stage_holds_back_what_is_offered() -> None:
    source, blocks, got = Loop(), threading.Event(), list[Any]()

    def sink(item: Any) -> None:
        blocks.wait(10)
        got.append(item)

    with pipeline(source, sink) as flow:
        source.give(*range(3_000))
        wait_until(lambda: flow.counters()["sink"].queued >= 999, what="a full queue")
        source.give(3_000)
        wait_until(lambda: bool(source.waiting), what="the item in the source")
        assert flow.counters()["sink"].queued <= 1_001
        blocks.set()
        wait_until(lambda: len(got) == 3_001, what="all items")
    assert got == list(range(3_001))
