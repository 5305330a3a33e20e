"""`pipeline` and `graph`: make a flow of sources, stages and sinks."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from notify.errors import WiringError
from notify.flows.flow import Flow
from notify.flows.items import ERROR, OUT
from notify.flows.wiring import Link, Links, Node, Wiring, links_of, node_of

__all__ = ["discard", "graph", "pipeline"]


def discard(item: object) -> None:
    """Take an item and do nothing: a sink for an outlet that nobody is interested in."""


def pipeline(*parts: Any, name: str = "flow", errors: Any = None) -> Flow:
    """Return a flow in which the items of a source pass through stages to a sink, in order.

    Args:
        parts: the source, an iterable; any number of stages; the sink. `stage` gives one of them options.
            A stage is a callable: it gets an item and returns one, ``None`` for none, or a list or an iterator of several. Blocking
            parts have a thread each; those that are ``async`` share an event loop.
        name: the name of the flow.
        errors: a sink for the items that a part could not take, each as a `Failed`; without it the policy of the part applies.

    Raises:
        WiringError: the parts do not make a pipeline.
    """
    if len(parts) < 2:
        raise WiringError(f"a pipeline needs a source and a sink, and {len(parts)} of them were given")
    nodes: dict[str, Node] = {}
    for part in parts:
        node = node_of(part)
        nodes[_free_name(node.label, nodes)] = node
    names = list(nodes)
    links = [Link(start, OUT, end) for start, end in pairwise(names)]
    if errors is not None:
        node = node_of(errors)
        sink = _free_name(node.name or "errors", nodes)
        links += [Link(start, ERROR, sink) for start in names]
        nodes[sink] = node
    return Flow(Wiring(nodes, links), name=name)


def graph(*, nodes: Mapping[str, Any], links: Links, name: str = "flow") -> Flow:
    """Return a flow of nodes that are linked in any way without a cycle.

    ::

        graph(
            nodes={"in": source, "split": demux(classify, outlets=("normal", "critical")), "all": write, "alarm": ring},
            links={"in": "split", ("split", "normal"): "all", ("split", "critical"): ["all", "alarm"]},
        )

    Args:
        nodes: name → source, stage or sink, as for `pipeline`.
        links: where a link begins → the node, or the list of nodes, where it ends; or pairs of the two. A link begins at a node, for its
            outlet ``out``, or at ``(node, outlet)``. Several nodes linked to one outlet each get all of its items; items that come to
            a node by several links keep the order that they have on each link.
        name: the name of the flow.

    Raises:
        WiringError: a link names an unknown node or outlet, an outlet is not linked, or the links make a cycle.
    """
    return Flow(Wiring({key: node_of(node) for key, node in nodes.items()}, links_of(links)), name=name)


def _free_name(label: str, taken: Mapping[str, Node]) -> str:
    """Return the label, with a number if it is taken."""
    number, name = 1, label
    while name in taken:
        number += 1
        name = f"{label}-{number}"
    return name
