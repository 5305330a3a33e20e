"""Random graphs with random stages, stops and cuts: each item arrives once, in order, wherever it belongs, or is counted."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notify.flows import Failed, Flow, Stage, To, batch, graph, lookup, pipeline, retry, stage
from notify.testing import wait_until

pytestmark = pytest.mark.any_server

KINDS = ("same", "odd only", "twice", "split", "raises", "skips", "retries", "async", "slow", "looks up", "many")
ENDS = ("out", "left", "right", "error")


class Item(msgspec.Struct, frozen=True):
    """An item: its source, its number there, and the way that it has come."""

    source: str
    number: int
    path: tuple[str, ...] = ()

    def via(self, *steps: str) -> "Item":
        return Item(self.source, self.number, (*self.path, *steps))


class Plan(msgspec.Struct, frozen=True):
    """One stage of a random graph: its kind, the length of its queue, and where its outlets lead, as numbers of later nodes."""

    kind: str
    max_items: int
    ends: dict[str, tuple[int, ...]]


def outlets_of(kind: str) -> tuple[str, ...]:
    return {"split": ("left", "right"), "raises": ("out", "error"), "retries": ("out", "error")}.get(kind, ("out",))


def results(kind: str, name: str, item: Item) -> list[tuple[str, Item]]:
    """What a stage makes of an item: outlet and item. The model, and what the stages below do."""
    passed = item.via(name)
    match kind:
        case "odd only":
            return [("out", passed)] if item.number % 2 else []
        case "twice":
            return [("out", passed.via("a")), ("out", passed.via("b"))]
        case "split":
            return [("right" if item.number % 3 else "left", passed)]
        case "raises" | "retries" | "skips" if item.number % 5 == 0:
            return [] if kind == "skips" else [("error", passed)]
    return [("out", passed)]


def work_of(kind: str, name: str) -> Any:
    """The stage of a kind, as somebody would write it."""

    def take(item: Item) -> Any:
        found = results(kind, name, item)
        if kind in ("raises", "retries", "skips") and item.number % 5 == 0:
            raise ValueError(item)
        if kind == "slow" and item.number % 10 == 0:
            time.sleep(0.001)
        if kind == "split":
            return To(*found[0])
        return [passed for _, passed in found] if kind == "twice" else (found[0][1] if found else None)

    async def take_in_the_loop(item: Item) -> Any:
        await asyncio.sleep(0)
        return take(item)

    if kind == "looks up":
        return lookup(take, threads=2)
    if kind == "many":
        return Many(name)
    return take_in_the_loop if kind == "async" else take


class Many(Stage):
    """Holds items back, and hands them on three at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held_back: list[Item] = []

    def take(self, item: Item) -> list[Item]:
        self.held_back.append(item.via(self.name))
        return self.end() if len(self.held_back) >= 3 else []

    def end(self) -> list[Item]:
        handed_on, self.held_back = self.held_back, []
        return handed_on

    def held(self) -> int:
        return len(self.held_back)


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, list[Plan]]:
    """Draw the number of sources and the stages. Nodes beyond the last stage are sinks."""
    stages = draw(st.integers(1, 6))
    sinks = draw(st.integers(1, 3))
    drawn = []
    for number in range(stages):
        kind = draw(st.sampled_from(KINDS))
        later = st.lists(st.integers(number + 1, stages + sinks - 1), min_size=1, max_size=2, unique=True).map(tuple)
        drawn.append(Plan(kind, draw(st.sampled_from([1, 2, 7, 1_000])), {outlet: draw(later) for outlet in outlets_of(kind)}))
    return draw(st.integers(1, 2)), drawn


class Built:
    """A random graph, what its sinks got, and what they should have got."""

    def __init__(self, sources: int, drawn: list[Plan], numbers: Callable[[], Any]) -> None:
        self.drawn = drawn
        sinks = 1 + max((end for plan in drawn for ends in plan.ends.values() for end in ends), default=0)
        self.got: dict[str, list[Item]] = {}
        self.lock = threading.Lock()
        links: list[tuple[Any, str]] = []
        reached = {self.name(end) for plan in drawn for ends in plan.ends.values() for end in ends}
        nodes: dict[str, Any] = {}
        for source in range(sources):
            name = f"s{source}"
            nodes[name] = self.source(name, numbers)
            # A stage that no other one leads to gets its items from a source; the first one from all of them.
            links += [
                (name, self.name(number))
                for number in range(len(drawn))
                if number == 0 or (source == 0 and self.name(number) not in reached)
            ]
        for number, plan in enumerate(drawn):
            name = self.name(number)
            policy: Any = {"skips": "skip", "retries": retry(1, 0.0001)}.get(plan.kind, "raise")
            outlets = ("left", "right") if plan.kind == "split" else None
            nodes[name] = stage(work_of(plan.kind, name), on_error=policy, max_items=plan.max_items, outlets=outlets)
            links += [((name, outlet), self.name(end)) for outlet, ends in plan.ends.items() for end in ends]
        for number in range(len(drawn), sinks):
            if self.name(number) in reached:
                self.got[self.name(number)] = []
                nodes[self.name(number)] = self.sink(self.name(number))
        self.links = links
        self.flow: Flow = graph(nodes=nodes, links=[link for link in links if link[1] in nodes])

    def name(self, number: int) -> str:
        return f"n{number}"

    def source(self, name: str, numbers: Callable[[], Any]) -> Iterator[Item]:
        return (Item(name, number) for number in numbers())

    def sink(self, name: str) -> Callable[[Any], None]:
        def take(item: Any) -> None:
            while isinstance(item, Failed):
                item = item.item.via(item.stage)
            self.got[name].append(item)

        return take

    def expected(self, name: str, item: Any, skipped: Counter[str]) -> list[tuple[str, Item]]:
        """The ends that an item reaches from a node, by the model."""
        if name in self.got:
            return [(name, item)]
        plan = self.drawn[int(name[1:])]
        found = results(plan.kind, name, item)
        skipped[name] += not found and plan.kind == "skips"
        return [each for outlet, passed in found for end in plan.ends[outlet] for each in self.expected(self.name(end), passed, skipped)]


def check(built: Built) -> None:
    """Compare what the sinks got with the model, for all items that the sources have given."""
    counters = built.flow.counters()
    expected: dict[str, list[Item]] = {name: [] for name in built.got}
    skipped: Counter[str] = Counter()
    for start, end in built.links:
        if start in counters and str(start).startswith("s"):
            for number in range(counters[start].out):
                for name, item in built.expected(end, Item(start, number), skipped):
                    expected[name].append(item)
    for name, items in built.got.items():
        assert Counter(items) == Counter(expected[name])
        for way in {(item.source, item.path) for item in items}:
            numbers = [item.number for item in items if (item.source, item.path) == way]
            assert numbers == sorted(numbers)
    assert {name: counters[name].dropped for name in counters if counters[name].dropped} == {name: n for name, n in skipped.items() if n}
    assert all(counter.queued == 0 for counter in counters.values())


def to_sinks(drawn: list[Plan]) -> list[Plan]:
    """Let all outlets for errors lead to a sink: no stage here takes a `Failed`."""
    ends = [{outlet: (len(drawn),) if outlet == "error" else ends for outlet, ends in plan.ends.items()} for plan in drawn]
    return [msgspec.structs.replace(plan, ends=changed) for plan, changed in zip(drawn, ends, strict=True)]


@settings(max_examples=60)
@given(plans())
def test_K10_every_item_arrives_once_and_in_order_wherever_it_belongs(plan: tuple[int, list[Plan]]) -> None:
    built = Built(plan[0], to_sinks(plan[1]), lambda: range(60))
    built.flow.run()
    assert all(counter.out == 60 for name, counter in built.flow.counters().items() if name.startswith("s"))
    check(built)


@settings(max_examples=40)
@given(plans(), st.integers(0, 100))
def test_a_stop_at_any_moment_loses_nothing_that_a_source_has_given(plan: tuple[int, list[Plan]], after: int) -> None:
    built = Built(plan[0], to_sinks(plan[1]), count)
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
        await asyncio.sleep(0.002)
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
    monkeypatch.setattr("notify.flows.engine.stage_runner.StageRunner.drop_queued", lambda runner: runner.inbox.items.clear())
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
