"""Random graphs with random stages, stops, cuts and marks: each item arrives once, in order, wherever it belongs, or is counted."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notify import Gap
from notify.flows import Mark, Source, Stage, batch, pipeline, stage
from notify.testing import wait_until
from tests.support.random_flows import Built, Item, Plan, check, plans, to_sinks

pytestmark = pytest.mark.any_server


@settings(max_examples=60)
@given(plans())
def test_K10_every_item_arrives_once_and_in_order_wherever_it_belongs(plan: tuple[int, list[Plan]]) -> None:
    built = Built(plan[0], to_sinks(plan[1]), lambda name: [Item(name, number) for number in range(60)])
    built.flow.run()
    assert all(counter.out == 60 for name, counter in built.flow.counters().items() if name.startswith("s"))
    check(built)


STARVED = [
    Plan("many", 1_000, {"out": (3, 1)}),
    Plan("twice", 7, {"out": (5, 3)}),
    Plan("looks up", 2, {"out": (4, 3)}),
    Plan("looks up", 1_000, {"out": (4,)}),
    Plan("retries", 7, {"out": (5,), "error": (5,)}),
]
"""Here the second source kept the items of the first one from coming through, as long as both shared one queue."""


@settings(max_examples=40)
@given(plans(), st.integers(0, 100))
@example((2, STARVED), 94)
def test_a_stop_at_any_moment_loses_nothing_that_a_source_has_given(plan: tuple[int, list[Plan]], after: int) -> None:
    built = Built(plan[0], to_sinks(plan[1]), lambda name: (Item(name, number) for number in count()))
    with built.flow as flow:
        wait_until(lambda: flow.counters()["s0"].out >= after, what="some items")
        flow.stop()
        assert flow.close(timeout_s=30)
    check(built)


class Cuts(msgspec.Struct, frozen=True):
    """A line of stages, the lengths of their queues, and the number of items after which the flow is cut."""

    queues: tuple[int, ...]
    slow: int
    after: int
    is_async: bool


QUEUES = st.lists(st.sampled_from([1, 3, 20]), min_size=2, max_size=5).map(tuple)


@settings(max_examples=40)
@given(st.builds(Cuts, QUEUES, st.integers(0, 4), st.integers(0, 40), st.booleans()))
def test_a_cut_counts_every_item_that_was_not_delivered(cuts: Cuts) -> None:
    gate = threading.Event()
    got: list[int] = []

    def slow(item: int) -> int:
        gate.wait(0.002)
        return item

    async def slow_in_the_loop(item: int) -> int:
        await asyncio.sleep(0.002)  # so that queues fill
        return item

    works: list[Any] = [lambda item: item for _ in cuts.queues]
    works[cuts.slow % len(works)] = slow_in_the_loop if cuts.is_async else slow
    flow = pipeline(count(), *(stage(work, max_items=n) for work, n in zip(works, cuts.queues, strict=True)), got.append).start()
    wait_until(lambda: len(got) >= cuts.after, what="some items")
    flow.close(timeout_s=0)
    counters = flow.counters()
    assert got == list(range(len(got)))
    assert counters["count"].out == len(got) + sum(counter.dropped for counter in counters.values())


def test_twin_without_the_count_of_a_cut_items_would_be_gone_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.flows.engine.stage_runner.StageRunner.drop_queued", lambda runner: list(runner.inputs.take_rest()))
    gate = threading.Event()
    flow = pipeline(range(20), lambda _: gate.wait(10)).start()
    wait_until(lambda: flow.counters()["range"].out == 20, what="the items")
    flow.close(timeout_s=0)
    gate.set()
    assert flow.counters()["range"].out > 1 + sum(counter.dropped for counter in flow.counters().values())


def test_a_batch_in_a_graph_holds_nothing_back_at_the_end() -> None:
    got: list[list[int]] = []
    pipeline(range(7), batch(3), got.append).run()
    assert got == [[0, 1, 2], [3, 4, 5], [6]]


class Marked(Source):
    """Gives items, gaps and marks, and notes what the sinks have when a position is committed."""

    def __init__(self, name: str, every: int, built: list[Built], committed: list[tuple[str, int, dict[str, int]]]) -> None:
        self.name, self.every, self.built, self.committed = name, every, built, committed

    def __iter__(self) -> Iterator[Any]:
        for number in range(60):
            yield Item(self.name, number)
            if number % self.every == 0:
                yield Gap("t", "trimmed", None, None)
                yield Mark(number + 1)
        yield Mark(60)

    def commit(self, position: int) -> None:
        self.committed.append((self.name, position, {name: len(items) for name, items in self.built[0].got.items()}))


@settings(max_examples=60)
@given(plans(), st.integers(1, 20))
def test_a_position_is_committed_when_all_ends_took_all_before_it(plan: tuple[int, list[Plan]], every: int) -> None:
    built: list[Built] = []
    committed: list[tuple[str, int, dict[str, int]]] = []
    built.append(Built(plan[0], to_sinks(plan[1]), lambda name: Marked(name, every, built, committed)))
    built[0].flow.run()
    check(built[0])
    for source in {name for name, _, _ in committed}:
        positions = [position for name, position, _ in committed if name == source]
        assert positions == [*range(1, 61, every), 60]
    assert {name for name, _, _ in committed} == {name for name in built[0].flow.nodes if name.startswith("s")}
    for source, position, lengths in committed:
        expected, _ = built[0].all_expected({source: position})
        for name, items in expected.items():
            assert not Counter(items) - Counter(built[0].got[name][: lengths[name]])


def test_twin_a_stage_that_holds_no_marks_has_positions_committed_too_early() -> None:
    got: list[int] = []
    committed: list[tuple[int, int]] = []

    class Numbers(Source):
        def __iter__(self) -> Iterator[Any]:
            yield from (0, Mark(1), 1, Mark(2))

        def commit(self, position: int) -> None:
            committed.append((position, len(got)))

    class Careless(Stage):
        def __init__(self) -> None:
            self.items: list[int] = []

        def take(self, item: int) -> None:
            self.items.append(item)

        def end(self) -> list[int]:
            return self.items

    pipeline(Numbers(), Careless(), got.append).run()
    assert committed == [(1, 0), (2, 0)]
    committed.clear()
    pipeline(Numbers(), batch(100), got.extend).run()
    assert committed == [(1, 4), (2, 4)]
