"""A flow, drawn as text: a tree from each source, with the outlets on its branches."""

from notify.flows.flow import Flow
from notify.flows.items import OUT
from notify.flows.wiring import Link, Node

__all__ = ["drawing_of"]


def drawing_of(flow: Flow) -> list[str]:
    """Return the lines of a drawing. A node that several links lead to is drawn with what is behind it once, then as ``name ^``.

    ::

        in (Subscribe)
        └── split (Demultiplexer)
            ├── normal ── out (publish_to)
            └── critical ── alarm (print)
    """
    ends = {link.end for link in flow.links}
    drawn: set[str] = set()
    lines: list[str] = []
    for name in flow.nodes:
        if name not in ends:
            lines.append(_shown(name, flow.nodes[name]))
            lines += _behind(flow, name, "", drawn)
    return lines


def _behind(flow: Flow, name: str, indent: str, drawn: set[str]) -> list[str]:
    """Return the lines for what is behind a node."""
    links = sorted((link for link in flow.links if link.start == name), key=lambda link: _place(flow, link))
    lines: list[str] = []
    for link in links:
        is_last = link is links[-1]
        outlet = "" if link.outlet == OUT else f"{link.outlet} ── "
        is_known = link.end in drawn
        what = f"{link.end} ^" if is_known else _shown(link.end, flow.nodes[link.end])
        lines.append(f"{indent}{'└' if is_last else '├'}── {outlet}{what}")
        if not is_known:
            drawn.add(link.end)
            lines += _behind(flow, link.end, f"{indent}{'    ' if is_last else '│   '}", drawn)
    return lines


def _place(flow: Flow, link: Link) -> tuple[int, int]:
    """Return the place of a link among those of its node: in the order of the outlets, then of the nodes."""
    outlets = flow.nodes[link.start].required(is_source=False)
    return outlets.index(link.outlet) if link.outlet in outlets else len(outlets), list(flow.nodes).index(link.end)


def _shown(name: str, node: Node) -> str:
    kind = type(node.work).__name__ if not hasattr(node.work, "__name__") else node.work.__name__
    return name if kind == name else f"{name} ({kind})"
