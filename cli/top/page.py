"""What a page shows: some lines and a table, of text that no terminal obeys, cut to the width of the terminal."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from notify.process import printable

__all__ = ["Page", "Row", "fitting", "sparkline"]

BARS: Final = "▁▂▃▄▅▆▇█"
WIDEST: Final = 44
"""The most letters of a cell, unless the row has room for more."""
NARROW: Final = 20
"""The letters to which the longest column may be cut before another one goes."""
GAP: Final = 2
"""The columns between two cells."""


class Row(msgspec.Struct, frozen=True):
    """A row of the table.

    Args:
        key: the name or id of what it shows.
        cells: the text of each column, by its name.
        mark: ``bad`` or ``late`` if somebody should look; shown as ``!`` and ``?`` too, since there may be no colours.
    """

    key: str
    cells: Mapping[str, str]
    mark: str = ""


class Page(msgspec.Struct, frozen=True):
    """A page, as it is at one moment.

    Args:
        columns: the names of the columns.
        rows: the rows.
        spare: the columns that go first if the terminal is narrow, in this order.
        lines: the lines above the table.
        empty: what is said in place of an empty table.
    """

    columns: Sequence[str]
    rows: Sequence[Row]
    spare: Sequence[str] = ()
    lines: Sequence[str] = ()
    empty: str = "nothing is here"


def fitting(page: Page, width: int) -> tuple[list[str], list[list[str]]]:
    """Return the columns that a terminal of so many letters has room for, and the cells of each row, escaped and cut."""
    cells = [{name: printable(row.cells.get(name, "")) for name in page.columns} for row in page.rows]
    widest = {name: max([len(name), *(len(row[name]) for row in cells)]) for name in page.columns}
    columns, spare = list(page.columns), list(page.spare)

    def needed() -> int:
        return sum(min(widest[name], WIDEST) + GAP for name in columns)

    def longest() -> str:
        return max(columns, key=lambda name: min(widest[name], WIDEST))

    while spare and needed() - width > max(0, min(widest[longest()], WIDEST) - NARROW):  # else it is enough to cut the longest column
        columns.remove(spare.pop(0))
    room = max(0, width - needed())  # what is left is for the cells that are cut
    wanting = [name for name in columns if widest[name] > WIDEST]
    limits = {name: WIDEST + (room // len(wanting) if name in wanting else 0) for name in columns}
    if needed() > width and columns:
        limits[longest()] = max(4, min(widest[longest()], WIDEST) - (needed() - width))
    return columns, [[_cut(row[name], limits[name]) for name in columns] for row in cells]


def sparkline(numbers: Sequence[float], width: int) -> str:
    """Return the last numbers as bars, one letter each, the largest as the highest bar; 0 is a blank."""
    shown = list(numbers)[-width:] if width > 0 else []
    most = max(shown, default=0.0)
    return "".join(" " if number <= 0 else BARS[min(len(BARS) - 1, int(number / most * len(BARS) - 1e-9))] for number in shown)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
