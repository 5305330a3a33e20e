"""Random graphs of flows, and a model of what their sinks get."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

from notify.flows import Failed, Flow, Mark, Stage, To, graph, lookup, retry, stage

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
            time.sleep(0.001)  # so that queues fill
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
        self.marks: list[Mark] = []

    def take(self, item: Item) -> list[Any]:
        self.held_back.append(item.via(self.name))
        return self.end() if len(self.held_back) >= 3 else []

    def mark(self, mark: Mark) -> Mark | None:
        if not self.held_back:
            return mark
        self.marks.append(mark)
        return None

    def end(self) -> list[Any]:
        handed_on, self.held_back, self.marks = [*self.held_back, *self.marks], [], []
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

    def __init__(self, sources: int, drawn: list[Plan], make_source: Callable[[str], Any]) -> None:
        self.drawn = drawn
        sinks = 1 + max((end for plan in drawn for ends in plan.ends.values() for end in ends), default=0)
        self.got: dict[str, list[Item]] = {}
        links: list[tuple[Any, str]] = []
        reached = {self.name(end) for plan in drawn for ends in plan.ends.values() for end in ends}
        nodes: dict[str, Any] = {}
        for source in range(sources):
            name = f"s{source}"
            nodes[name] = make_source(name)
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

    def all_expected(self, counts: dict[str, int]) -> tuple[dict[str, list[Item]], Counter[str]]:
        """What each sink gets of the first items of each source, and how many items each stage skips."""
        expected: dict[str, list[Item]] = {name: [] for name in self.got}
        skipped: Counter[str] = Counter()
        for start, end in self.links:
            for number in range(counts.get(start, 0) if isinstance(start, str) else 0):
                for name, item in self.expected(end, Item(start, number), skipped):
                    expected[name].append(item)
        return expected, skipped


def check(built: Built) -> None:
    """Compare what the sinks got with the model, for all items that the sources have given."""
    counters = built.flow.counters()
    expected, skipped = built.all_expected({name: counters[name].out for name in counters if name.startswith("s")})
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
