"""Tables: chooses the columns that fit into a width, and formats cells."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from notify import Json
from notify.process import printable

__all__ = ["grid"]

GUTTER: Final = 2
"""Spaces between two columns."""
WRAPPED: Final = frozenset({"provides", "groups", "needs", "subscribers"})
"""Columns whose cells may wrap between words."""
FOLDED: Final = {"queue": 12, "function": 10, "why": 14, "schedule": 10}
"""Columns whose cells may wrap anywhere, so that nothing is lost, with the least width of each."""
EMPTY: Final = ("", "0")


def grid(columns: Sequence[str], rows: Sequence[Mapping[str, Json]], *, width: int, spare: Sequence[str] = ()) -> Table:
    """Return a table that fits into a width.

    Args:
        columns: the columns, in their order.
        rows: one record per row.
        width: the width in characters.
        spare: the columns that are left out first, in this order: those without any value, then the others, and then all from the
            right. The caption names those that are left out although they have values.
    """
    shown = list(columns)
    empty = [column for column in spare if all(_shown(row[column]) in EMPTY for row in rows)]
    goes = [*empty, *(column for column in spare if column not in empty), *reversed([each for each in columns if each not in spare])]
    while len(shown) > 1 and sum(_least_width(column, rows) + GUTTER for column in shown) - GUTTER > width:
        shown.remove(goes.pop(0))
    left_out = [column for column in columns if column not in shown and column not in empty]
    caption = f"no room for {', '.join(left_out)}: widen the terminal, or use --json" if left_out else None
    table = Table(box=None, header_style="bold", pad_edge=False, caption=caption, caption_justify="left")
    for column in shown:
        # Lists wrap between words; names never wrap.
        wraps = column in WRAPPED or column in FOLDED
        table.add_column(column, no_wrap=not wraps, overflow="fold", min_width=_least_width(column, rows))
    for row in rows:
        table.add_row(*(Text(printable(_shown(row[column]))) for column in shown))
    return table


def _least_width(column: str, rows: Sequence[Mapping[str, Json]]) -> int:
    """Return the smallest width of a column that breaks no word; or, if it may wrap anywhere, its least width."""
    texts = [printable(_shown(row[column])) for row in rows]
    parts = [part for text in texts for part in text.split()] if column in WRAPPED else texts
    widest = max(map(len, [column, *parts]))
    return min(widest, max(FOLDED[column], len(column))) if column in FOLDED else widest


def _shown(value: Any) -> str:
    """Return the text of a cell on a terminal."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
