"""Stops: the sources end, what is in the flow is delivered within a time limit, and what is not is counted."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest

from notify.flows import Flow, Source, pipeline, retry, stage
from notify.testing import wait_until
from tests.support.processes import Process

pytestmark = pytest.mark.any_server


class Gate:
    """A stage that lets items pass only while it is open."""

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def __call__(self, item: Any) -> Any:
        self.is_open.wait(10)
        return item


async def numbers_in_the_loop() -> AsyncIterator[int]:
    for number in count():
        yield number
        await asyncio.sleep(0)


@pytest.mark.parametrize("source", [count, numbers_in_the_loop])
def test_K1_a_stop_delivers_all_that_is_in_the_flow(source: Any) -> None:
    got: list[int] = []
    flow = pipeline(source() if source is count else source, lambda n: n, got.append).start()
    wait_until(lambda: len(got) > 1_000, what="items")
    flow.stop()
    assert flow.wait(10)
    assert flow.close()
    assert got == list(range(len(got)))
    assert len(got) == next(iter(flow.counters().values())).out


def test_run_ends_at_a_stop_by_a_stage() -> None:
    got: list[int] = []

    def sink(item: int) -> None:
        got.append(item)
        if item == 100:
            assert flow.close() is False  # a stage cannot wait for its own end: this asks for the stop

    flow = pipeline(count(), sink)
    flow.run()
    assert got == list(range(len(got)))
    assert len(got) > 100


def test_run_ends_at_a_stop_by_a_stage_in_the_event_loop() -> None:
    async def sink(item: int) -> None:
        if item == 100:
            assert flow.close() is False

    flow = pipeline(count(), sink)
    flow.run()
    assert flow.counters()["sink"].taken == flow.counters()["count"].out


def test_run_ends_at_a_stop_by_another_thread() -> None:
    flow: Flow = pipeline(count(), lambda n: n, print_nothing)
    timer = threading.Timer(0.05, flow.stop)
    timer.start()
    flow.run()
    assert flow.counters()["print_nothing"].taken == flow.counters()["count"].out
    timer.join()


def print_nothing(item: object) -> None:
    """Take an item."""


def test_a_source_that_waits_for_an_item_does_not_keep_the_flow_from_ending() -> None:
    reader, writer = os.pipe()
    got: list[str] = []
    with os.fdopen(writer, "w") as sending, os.fdopen(reader) as lines:
        flow = pipeline(lines, got.append, name="lab").start()
        sending.write("one\n")
        sending.flush()
        wait_until(lambda: got == ["one\n"], what="the line")
        assert flow.close()
        sending.write("late\n")
        sending.flush()
        wait_until(lambda: flow.counters()["TextIOWrapper"].dropped == 1, what="the late line")
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("notify-lab")], what="the end of the thread")
    assert got == ["one\n"]


def test_a_source_in_the_event_loop_that_waits_is_cancelled() -> None:
    ended: list[str] = []

    async def waiting() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)  # it is cancelled
        finally:
            ended.append("cancelled")

    got: list[int] = []
    flow = pipeline(waiting, got.append).start()
    wait_until(lambda: got == [1], what="the item")
    assert flow.close()
    assert ended == ["cancelled"]


def test_a_source_with_a_hook_to_stop_gets_the_time_to_end() -> None:
    class Slow(Source):
        def __init__(self) -> None:
            self.stopped = threading.Event()

        def __iter__(self) -> Iterator[int]:
            yield 1
            self.stopped.wait(10)
            yield 2

        def stop(self) -> None:
            self.stopped.set()

    got: list[int] = []
    flow = pipeline(Slow(), got.append).start()
    wait_until(lambda: got == [1], what="the item")
    assert flow.close()
    assert got == [1, 2]


def test_after_the_time_limit_the_rest_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    flow = pipeline(range(100), lambda n: n, stage(gate, name="gate"), print).start()
    wait_until(lambda: flow.counters()["gate"].queued == 99, what="the queue")
    with caplog.at_level(logging.WARNING):
        assert flow.close(timeout_s=0.05) is False
    assert "was cut: gate, print did not end in time; 99 items dropped in all" in caplog.text
    assert flow.counters()["gate"].dropped == 99
    assert flow.close() is False
    gate.is_open.set()


def test_a_coroutine_that_hangs_is_cancelled_after_the_time_limit() -> None:
    async def hangs(_: int) -> None:
        await asyncio.sleep(60)  # it is cancelled

    flow = pipeline(range(10), hangs).start()
    wait_until(lambda: flow.counters()["hangs"].queued == 9, what="the queue")
    assert flow.close(timeout_s=0.05) is False
    assert flow.counters()["hangs"].dropped == 10


def test_a_stage_that_waits_to_try_again_is_cut_with_its_item() -> None:
    def broken(_: int) -> None:
        raise OSError

    flow = pipeline(range(10), stage(broken, on_error=retry(50, 10.0))).start()
    wait_until(lambda: flow.counters()["broken"].queued == 9, what="the queue")
    assert flow.close(timeout_s=0.05) is False
    assert flow.counters()["broken"].dropped == 10


def test_a_flow_that_was_never_started_can_be_closed() -> None:
    assert pipeline([1], print).close()


@pytest.mark.parametrize(("kind", "signum"), [("stop", signal.SIGTERM), ("interrupt", signal.SIGINT)])
def test_a_signal_delivers_what_is_in_the_flow(start: Callable[..., Process], kind: str, signum: signal.Signals) -> None:
    process = start("flows.runner", kind)
    assert process.told() == "ready"
    os.kill(process.pid, signum)
    given, taken, are_in_order = process.told()
    assert process.end() == 0
    assert given == taken > 1_000
    assert are_in_order
