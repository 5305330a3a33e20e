"""The wiring of a flow: nodes and links, and the check that they make a flow."""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

import msgspec

from notify.errors import WiringError
from notify.flows.items import ERROR, OUT
from notify.flows.policy import OnError, Policy, policy_of
from notify.flows.protocol import Source, Stage, TakesMany, Uses

__all__ = ["MAX_ITEMS", "Link", "Links", "Node", "Wiring", "has_async", "links_of", "node_of", "stage"]

MAX_ITEMS: Final = 1_000
"""How many items may wait in front of a stage, by default."""

Place: TypeAlias = str | tuple[str, str]
"""Where a link begins: a node, for its outlet ``out``, or a node and an outlet."""
Links: TypeAlias = Mapping[Place, str | Sequence[str]] | Iterable[tuple[Place, str]]
"""Links as a mapping, place → node or several nodes, or as pairs."""


class Node(msgspec.Struct, frozen=True):
    """A node of a flow: the source, stage or sink, and its options. Made by `stage`, or from the bare object.

    Args:
        work: the iterable, the callable, or an object of a subclass of `Source` or `Stage`.
        name: its name in the flow; empty for one derived from ``work``.
        policy: what is done when it raises.
        max_items: how many items may wait in front of it.
        takes_gaps: whether a callable is called with each `Gap` as well.
        outlets: the outlets of a callable that returns `To`.
    """

    work: Any
    name: str = ""
    policy: Policy = Policy()
    max_items: int = MAX_ITEMS
    takes_gaps: bool = False
    outlets: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        """The given name, or the one derived from the function or the class."""
        named = self.name or getattr(self.work, "__name__", "") or getattr(getattr(self.work, "func", None), "__name__", "")
        return str(named or type(self.work).__name__).strip("<>_") or "stage"

    @property
    def gives_items(self) -> bool:
        """Whether it can be a source."""
        if isinstance(self.work, Iterable | AsyncIterable):
            return not isinstance(self.work, str | bytes | bytearray | dict)
        return inspect.isgeneratorfunction(self.work) or inspect.isasyncgenfunction(self.work)

    @property
    def takes_items(self) -> bool:
        """Whether it can be a stage or a sink."""
        return isinstance(self.work, Stage) or callable(self.work)

    def required(self, *, is_source: bool) -> tuple[str, ...]:
        """Return the outlets that have to be linked. The ``out`` of a plain callable need not: without a link it is a sink."""
        if self.outlets is not None:
            return self.outlets
        if is_source:
            return (OUT,)
        return self.work.outlets if isinstance(self.work, Stage) else ()

    def known(self, *, is_source: bool) -> frozenset[str]:
        """Return the outlets that may be linked."""
        is_plain = self.outlets is None and not isinstance(self.work, Stage)
        return frozenset((*self.required(is_source=is_source), *((OUT,) if is_plain else ()), ERROR))


class Link(msgspec.Struct, frozen=True, order=True):
    """A link from an outlet of one node to another node."""

    start: str
    outlet: str
    end: str

    def __str__(self) -> str:
        return f"{self.start}{'' if self.outlet == OUT else f'.{self.outlet}'} -> {self.end}"


class Wiring:
    """Nodes and links that make a flow: acyclic, each outlet linked, sources in front, and nothing loose.

    Args:
        nodes: name → node.
        links: the links.

    Raises:
        WiringError: they do not make a flow; the message names the node or the link, and the remedy.
    """

    def __init__(self, nodes: Mapping[str, Node], links: Collection[Link]) -> None:
        self.nodes = dict(nodes)
        self.links = tuple(dict.fromkeys(links))
        self._check_links()
        self.order = self._sorted()
        """The names of the nodes; each node comes after all that are before it in the flow."""
        self._check_objects()
        for check in (self._check_place, self._check_outlets):
            for name, node in self.nodes.items():
                check(name, node)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The names of the nodes that no link leads to."""
        ends = {link.end for link in self.links}
        return tuple(name for name in self.nodes if name not in ends)

    def uses(self, work: Any) -> Uses:
        """Return how the flow uses an object."""
        names = {name for name, node in self.nodes.items() if node.work is work}
        sources = names.intersection(self.sources)
        has_errors = any(link.start in sources and link.outlet == ERROR for link in self.links)
        return Uses(is_source=bool(sources), is_stage=len(names) > len(sources), has_errors=has_errors)

    def copies(self, source: str) -> dict[str, int]:
        """Return, for each node behind a source, how many links lead to it from the source and the nodes behind it."""
        behind, copies = {source}, dict[str, int]()
        for name in self.order:
            if name in behind:
                for link in self.links:
                    if link.start == name:
                        behind.add(link.end)
                        copies[link.end] = copies.get(link.end, 0) + 1
        return copies

    def ends(self, names: Collection[str]) -> int:
        """Return how many of the nodes have no outlet that is linked."""
        starts = {link.start for link in self.links}
        return sum(name not in starts for name in names)

    def _check_links(self) -> None:
        if not self.nodes:
            raise WiringError("a flow needs a source and a sink: there is no node")
        for link in self.links:
            for name in (link.start, link.end):
                if name not in self.nodes:
                    problem = f"the link {link} names {name!r}, and there is no such node: there are {_listed(self.nodes)}"
                    raise WiringError(problem).at("links", link.start, link.outlet)
            if link.start in self.sources:
                self._check_place(link.start, self.nodes[link.start])
            known = self.nodes[link.start].known(is_source=link.start in self.sources)
            if link.outlet not in known:
                problem = f"{link.start!r} has no outlet {link.outlet!r}: it has {_listed(known)}"
                raise WiringError(problem).at("links", link.start, link.outlet)

    def _check_objects(self) -> None:
        """Refuse an object with a state at two places where two threads would call it; one may be both a source and a sink."""
        for with_state, is_source in (((Stage,), False), ((Source, Iterator, AsyncIterator), True)):
            seen: dict[int, str] = {}
            for name, node in self.nodes.items():
                if isinstance(node.work, with_state) and (name in self.sources) == is_source:
                    other = seen.setdefault(id(node.work), name)
                    if other != name:
                        problem = f"{other!r} and {name!r} are the same object, {node.work!r}: make one for each of them"
                        raise WiringError(problem).at("nodes", name)

    def _check_place(self, name: str, node: Node) -> None:
        if name in self.sources and not node.gives_items:
            problem = f"no link leads to {name!r}, and it is no source, which is an iterable: link something to it"
            raise WiringError(problem).at("nodes", name)
        if name not in self.sources and not node.takes_items:
            problem = f"a link leads to {name!r}, and {node.work!r} takes no items: give a callable or a Stage"
            raise WiringError(problem).at("nodes", name)

    def _check_outlets(self, name: str, node: Node) -> None:
        linked = {link.outlet for link in self.links if link.start == name}
        missing = [outlet for outlet in node.required(is_source=name in self.sources) if outlet not in linked]
        if missing:
            problem = f"the outlet {missing[0]!r} of {name!r} is linked to nothing: link it to a sink, for example to discard"
            raise WiringError(problem).at("nodes", name)

    def _sorted(self) -> tuple[str, ...]:
        """Return the names in order, by Kahn's algorithm, or raise `WiringError` with the cycle."""
        inputs = dict.fromkeys(self.nodes, 0)
        for link in self.links:
            inputs[link.end] += 1
        ready, order = [name for name, count in inputs.items() if not count], list[str]()
        while ready:
            order.append(ready.pop(0))
            for link in self.links:
                if link.start == order[-1]:
                    inputs[link.end] -= 1
                    if not inputs[link.end]:
                        ready.append(link.end)
        if len(order) < len(self.nodes):
            cycle = self._cycle(set(order))
            outlet = next(link.outlet for link in self.links if (link.start, link.end) == (cycle[0], cycle[1]))
            problem = f"the links make a cycle: {' -> '.join(cycle)}: take one of them out, or publish on a topic and subscribe"
            raise WiringError(problem).at("links", cycle[0], outlet)
        return tuple(order)

    def _cycle(self, sorted_names: set[str]) -> list[str]:
        """Return a cycle among the nodes that could not be sorted."""
        before = {link.end: link.start for link in self.links if link.start not in sorted_names and link.end not in sorted_names}
        path = [next(iter(before))]
        while path.count(path[-1]) < 2:
            path.append(before[path[-1]])
        return path[path.index(path[-1]) :][::-1]


def stage(
    work: Any,
    *,
    name: str = "",
    on_error: OnError = "raise",
    max_items: int = MAX_ITEMS,
    gaps: bool = False,
    outlets: Collection[str] | None = None,
) -> Node:
    """Return a node with options, to be used in `pipeline` or `graph` in place of the bare source, stage or sink.

    Args:
        work: the iterable, the callable, or an object of a subclass of `Source` or `Stage`.
        name: its name, in counters, logs and errors.
        on_error: what is done when it raises: ``"raise"`` ends the flow, ``"skip"`` drops the item, or what `retry` returns.
        max_items: how many items may wait in front of it; then what is before it waits.
        gaps: whether a callable is called with each `Gap` as well; by default it is handed on beside the callable.
        outlets: the outlets of a callable that returns `To`.

    Raises:
        WiringError: an argument cannot be used.
    """
    if isinstance(max_items, bool) or not isinstance(max_items, int) or max_items < 1:
        raise WiringError(f"max_items is {max_items!r}: give a whole number above 0")
    if outlets is not None and (isinstance(outlets, str) or isinstance(work, Stage)):
        raise WiringError("outlets are a list of names for a callable; a class derived from Stage has the attribute outlets")
    return Node(work, name, policy_of(on_error), max_items, gaps, None if outlets is None else tuple(outlets))


def node_of(work: Any) -> Node:
    """Return the node for what was given to `pipeline` or `graph`: a node, or a bare source, stage or sink; raise `WiringError`."""
    node = work if isinstance(work, Node) else Node(work)
    if isinstance(node.work, type) and issubclass(node.work, Source | Stage):
        raise WiringError(f"{node.work.__name__} is a class: give an object of it, {node.work.__name__}()")
    return node


def links_of(links: Links) -> list[Link]:
    """Return links from their mapping or pairs, or raise `WiringError`."""
    pairs: list[tuple[Any, Any]] = []
    for start, ends in links.items() if isinstance(links, Mapping) else links:
        pairs += [(start, end) for end in (ends if isinstance(ends, list | tuple) else [ends])]
    found = []
    for start, end in pairs:
        place = (start, OUT) if isinstance(start, str) else start
        if not (isinstance(place, tuple) and len(place) == 2 and all(isinstance(part, str) for part in (*place, end))):
            raise WiringError(f"a link from {start!r} to {end!r} cannot be used: give names of nodes, or (node, outlet) as its start")
        found.append(Link(place[0], place[1], end))
    return found


def has_async(node: Node, *, is_source: bool) -> bool:
    """Return whether the node runs in the event loop."""
    work = node.work
    if is_source:
        return isinstance(work, AsyncIterable) or inspect.isasyncgenfunction(work)
    called: Callable[..., Any] = work
    if isinstance(work, Stage):
        called = work.take_many if isinstance(work, TakesMany) else work.take
    tried = (called, type(called).__call__)  # an object may be called by an async method
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in tried)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
