"""Small graphs, in columns from left to right: where each box lies, and the lines between them. A template draws them as SVG."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["Box", "Drawing", "Node", "drawn"]

WIDTH: Final = 190
HEIGHT: Final = 34
GAP_X: Final = 90
GAP_Y: Final = 14
MARGIN: Final = 6


class Node(NamedTuple):
    """A box of a graph.

    Args:
        key: names it in the edges.
        text: what is in it.
        state: its state, which gives its colour, and is told in words too.
        path, query: the view that it leads to; empty: to none.
    """

    key: str
    text: str
    state: str
    path: str
    query: Mapping[str, str] = {}


class Box(NamedTuple):
    """A box, and where it lies."""

    node: Node
    x: int
    y: int


class Drawing(NamedTuple):
    """A graph as it is drawn: its size, its boxes, and its lines as paths of SVG."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[str]


def drawn(columns: Sequence[Sequence[Node]], edges: Sequence[tuple[str, str]]) -> Drawing:
    """Return the drawing of a graph.

    Args:
        columns: the boxes of each column, from left to right.
        edges: pairs of keys: a line goes from the right side of the first to the left side of the second.
    """
    columns = [column for column in columns if column]
    most = max(map(len, columns), default=0)
    height = most * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    boxes = {}
    for number, column in enumerate(columns):
        top = (height - len(column) * (HEIGHT + GAP_Y) + GAP_Y) // 2
        for row, node in enumerate(column):
            boxes[node.key] = Box(node, MARGIN + number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    lines = [_line(boxes[begin], boxes[end]) for begin, end in edges if begin in boxes and end in boxes]
    width = len(columns) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    return Drawing(width, height, list(boxes.values()), lines)


def _line(begin: Box, end: Box) -> str:
    x1, y1, x2, y2 = begin.x + WIDTH, begin.y + HEIGHT // 2, end.x - 4, end.y + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
