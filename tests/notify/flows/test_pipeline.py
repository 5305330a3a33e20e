"""Pipelines: order, what a stage may return, threads and the event loop, back-pressure, and the ways to run one."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from notify import ClosedError, FlowError, Gap, WiringError
from notify.flows import DROPPED, Flow, Items, Sink, Source, Stage, TakesMany, graph, pipeline, stage
from notify.testing import wait_until

pytestmark = pytest.mark.any_server


def same(item: Any) -> Any:
    return item


def test_K1_items_pass_through_all_stages_in_order() -> None:
    got: list[int] = []
    pipeline(range(5_000), same, lambda n: n * 2, same, got.append).run()
    assert got == [n * 2 for n in range(5_000)]


def test_K1_the_whole_ends_when_all_have_ended() -> None:
    ended: list[str] = []

    class Named(Stage):
        def __init__(self, name: str) -> None:
            self.name = name

        def take(self, item: Any) -> Any:
            return item

        def end(self) -> None:
            ended.append(self.name)

        def close(self) -> None:
            ended.append(f"{self.name} closed")

    with pipeline(range(3), Named("first"), Named("second"), print) as flow:
        assert flow.wait(5)
    assert ended == ["first", "second", "first closed", "second closed"]


@pytest.mark.parametrize(
    ("result", "handed_on"),
    [
        (None, []),
        (DROPPED, []),
        (0, [0]),
        ("text", ["text"]),
        ((1, 2), [(1, 2)]),
        ({"a": 1}, [{"a": 1}]),
        ([1, 2], [1, 2]),
        ([[1, 2]], [[1, 2]]),
        ([], []),
        (Items((1, None, 2)), [1, 2]),
    ],
)
def test_a_stage_returns_none_one_or_several(result: Any, handed_on: list[Any]) -> None:
    got: list[Any] = []
    pipeline(["item"], lambda _: result, got.append).run()
    assert got == handed_on


def test_a_generator_function_is_a_stage_with_several_results() -> None:
    got: list[int] = []

    def twice(item: int) -> Iterator[int]:
        yield item
        yield item

    pipeline(range(3), twice, got.append).run()
    assert got == [0, 0, 1, 1, 2, 2]


def test_a_generator_function_is_a_source() -> None:
    got: list[Any] = []

    def numbers() -> Iterator[Any]:
        yield from (1, [2, 3], None, Items((4, 5)))

    pipeline(numbers, got.append).run()
    assert got == [1, [2, 3], 4, 5]  # what an iterable gives is one item, whatever it is


def test_async_parts_share_one_event_loop_and_keep_the_order() -> None:
    got: list[int] = []
    loops: set[int] = set()

    async def source() -> AsyncIterator[int]:
        for number in range(200):
            loops.add(id(asyncio.get_running_loop()))
            yield number

    async def stage_of_loop(item: int) -> int:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.001 if item % 50 == 0 else 0)  # so that others overtake it, if they can
        return item

    async def several(item: int) -> AsyncIterator[int]:
        yield item
        yield item

    async def sink(item: int) -> None:
        loops.add(id(asyncio.get_running_loop()))
        got.append(item)

    pipeline(source, stage_of_loop, same, several, sink).run()
    assert got == [number for number in range(200) for _ in range(2)]
    assert len(loops) == 1


def test_K2_a_blocking_stage_has_a_thread_of_its_own() -> None:
    threads: set[str] = set()
    blocks = threading.Event()

    def blocking(item: int) -> int:
        threads.add(threading.current_thread().name)
        blocks.wait(5)
        return item

    def seen(item: int) -> int:
        threads.add(threading.current_thread().name)
        return item

    with pipeline(range(100), seen, blocking, print, name="lab") as flow:
        wait_until(lambda: flow.counters()["seen"].out == 100, what="the stage before the one that blocks")
        assert flow.counters()["blocking"].out == 0
        blocks.set()
    assert threads == {"notify-lab-seen", "notify-lab-blocking"}


def test_a_full_stage_holds_back_the_source() -> None:
    blocks, given = threading.Event(), []

    def numbers() -> Iterator[int]:
        for number in range(1_000):
            given.append(number)
            yield number

    def blocking(_: int) -> None:
        blocks.wait(5)

    with pipeline(numbers, stage(same, max_items=5), stage(blocking, max_items=3)) as flow:
        wait_until(lambda: flow.counters()["blocking"].queued == 3, what="a full queue")
        assert len(given) <= 5 + 1 + 3 + 1
        blocks.set()
    assert flow.counters()["blocking"].taken == len(given)


def test_a_full_stage_holds_back_a_source_in_the_event_loop() -> None:
    blocks, given = threading.Event(), []

    async def numbers() -> AsyncIterator[int]:
        for number in range(100):
            given.append(number)
            yield number

    def blocking(_: int) -> None:
        blocks.wait(5)

    with pipeline(numbers, stage(blocking, max_items=3)) as flow:
        wait_until(lambda: flow.counters()["blocking"].queued == 3, what="a full queue")
        assert len(given) <= 5
        blocks.set()
        assert flow.wait(5)
    assert flow.counters()["blocking"].taken == 100


def test_a_stage_takes_as_many_items_as_wait() -> None:
    batches: list[list[int]] = []
    blocks = threading.Event()

    class Writer(TakesMany, Sink):
        max_batch = 10

        def take_many(self, items: list[int]) -> None:
            blocks.wait(5)
            batches.append(items)

    with pipeline(range(25), Writer()) as flow:
        wait_until(lambda: flow.counters()["range"].out == 25, what="all items")
        blocks.set()
        assert flow.wait(5)
    assert [item for batch in batches for item in batch] == list(range(25))
    assert max(map(len, batches)) == 10


@pytest.mark.parametrize("sink", ["one", "many", "async"])
def test_gaps_leave_room_behind_them_in_a_short_queue(sink: str) -> None:
    gap = Gap("t", "trimmed", None, None)
    got: list[Any] = []

    class Writer(TakesMany, Sink):
        def take_many(self, items: list[int]) -> None:
            got.extend(items)

    async def take(item: int) -> None:
        got.append(item)

    work: Any = {"one": got.append, "many": Writer(), "async": take}[sink]
    items = [item for number in range(300) for item in (gap, number, gap, gap)]
    with pipeline(items, stage(same, max_items=1), stage(work, max_items=1)) as flow:
        assert flow.wait(20)
    assert got == list(range(300))


def test_a_stage_in_the_event_loop_that_never_waits_lets_others_run() -> None:
    turns: list[int] = []
    done = asyncio.Event()

    async def other() -> AsyncIterator[int]:
        while not done.is_set():
            turns.append(1)
            yield 1
            await asyncio.sleep(0)

    class Writer(TakesMany, Sink):
        max_batch = 1

        async def take_many(self, items: list[int]) -> None:
            if items[0] == 2_000:
                done.set()

    graph(
        nodes={"in": range(2_001), "writer": stage(Writer(), max_items=10_000), "other": other, "off": print_nothing},
        links={"in": "writer", "other": "off"},
    ).run()
    assert len(turns) > 10


def print_nothing(item: object) -> None:
    """Take an item."""


def test_K11_a_flow_runs_in_the_background_or_blocks() -> None:
    got: list[int] = []
    flow = pipeline([1], got.append)
    assert flow.start() is flow
    assert flow.wait(5)
    assert flow.close()
    assert flow.close()
    pipeline([2], got.append).run()
    assert got == [1, 2]
    with pytest.raises(ClosedError, match="make another one"):
        flow.start()
    with pytest.raises(ClosedError, match="make another one"):
        flow.run()


def test_the_counters_of_a_stage_can_be_read() -> None:
    def only_even(item: int) -> int | None:
        time.sleep(0.0005)  # the time that busy_ms counts
        return None if item % 2 else item

    flow = pipeline(range(100), only_even, print, name="lab")
    assert flow.counters()["only_even"].taken == 0
    flow.run()
    counters = flow.counters()
    assert list(counters) == ["range", "only_even", "print"]
    assert (counters["range"].out, counters["only_even"].taken, counters["only_even"].out, counters["print"].taken) == (100, 100, 50, 50)
    assert counters["only_even"].busy_ms >= 50
    assert counters["print"].queued == 0
    assert repr(flow) == "<Flow 'lab': range -> only_even, only_even -> print (closed)>"


def test_a_held_flow_goes_on_after_its_release() -> None:
    got: list[int] = []
    flow = pipeline(range(10), got.append)
    flow.hold()
    with flow:
        assert not flow.wait(0.05)
        assert got == []
        flow.release()
        assert flow.wait(5)
    assert got == list(range(10))


def test_the_hooks_of_an_object_are_called_once_though_it_is_at_both_ends() -> None:
    calls: list[str] = []

    class Both(Source, Sink):
        async def open(self, context: Any) -> None:
            calls.append(f"open {context.name}")

        async def __aiter__(self) -> AsyncIterator[int]:
            yield 1

        async def take(self, item: int) -> None:
            calls.append(f"took {item}")

        async def close(self) -> None:
            calls.append("close")

    both = Both()
    pipeline(both, same, both).run()
    assert calls == ["open Both-2", "took 1", "close"]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ((), "needs a source and a sink"),
        (([1],), "needs a source and a sink"),
        (("text", print), "'str', and it is no source"),
        ((print, print), "'print', and it is no source"),
        (([1], 7), "'int', and 7 takes no items"),
        (([1], Stage), "Stage is a class: give an object of it"),
        (([1], Stage()), "the outlet 'out' of 'Stage' is linked to nothing"),
        (([1], Sink(), print), "'Sink' has no outlet 'out': it has 'error'"),
    ],
)
def test_parts_that_make_no_pipeline_are_refused(parts: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(WiringError, match=problem):
        pipeline(*parts)


@pytest.mark.parametrize("options", [{"max_items": 0}, {"max_items": True}, {"max_items": 1.5}, {"on_error": "ignore"}, {"outlets": "out"}])
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(WiringError):
        stage(print, **options)


def test_an_open_that_fails_closes_what_was_open() -> None:
    calls: list[str] = []

    class Port(Sink):
        def open(self, context: Any) -> None:
            calls.append("open")

        def close(self) -> None:
            calls.append("close")

    class Broken(Stage):
        async def open(self, context: Any) -> None:
            raise OSError("the port is in use")

        def take(self, item: Any) -> Any:
            return item

    flow: Flow = pipeline([1], Broken(), Port())
    with pytest.raises(OSError, match="in use"):
        flow.start()
    assert calls == ["open", "close"]
    assert flow.close()


def test_a_hook_that_hangs_in_the_event_loop_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.flows.engine.hooks.HOOK_S", 0.05)

    class Hanging(Sink):
        async def open(self, context: Any) -> None:
            await asyncio.sleep(60)  # it is cancelled

    with pytest.raises(FlowError, match=r"Hanging.open has not returned after 0.05 s"):
        pipeline([1], Hanging()).start()


def test_a_system_without_further_threads_ends_the_start_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "notify-lab-range":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    flow = pipeline(range(3), same, print, name="lab")
    with pytest.raises(RuntimeError, match="new thread"):
        flow.start()
    assert flow.close()
