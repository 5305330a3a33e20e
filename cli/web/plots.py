"""Plots of the history: lines over time, as places for a template that draws them as SVG."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cli.web.render import span

__all__ = ["Line", "Plot", "Tick", "plotted"]

WIDTH: Final = 640
HEIGHT: Final = 190
LEFT: Final = 52
RIGHT: Final = 10
TOP: Final = 12
BOTTOM: Final = 24
TICKS: Final = 4


class Line(NamedTuple):
    """A line of a plot.

    Args:
        name: what it shows.
        level: its colour: ``""``, ``bad`` or ``muted``.
        values: one for each moment; ``None`` where there is none.
        path, area: as paths of SVG, once it is plotted.
        now, most: its last value, and its largest, as text.
    """

    name: str
    level: str
    values: Sequence[float | None]
    path: str = ""
    area: str = ""
    now: str = ""
    most: str = ""


class Tick(NamedTuple):
    """A mark at an axis: its place, and its text."""

    at: float
    text: str


class Plot(NamedTuple):
    """A plot: its title, its lines, and the marks at its axes."""

    title: str
    lines: list[Line]
    rows: list[Tick]
    columns: list[Tick]
    is_empty: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def plotted(title: str, lines: Sequence[Line], moments: Sequence[datetime], *, in_seconds: bool = False) -> Plot:
    """Return a plot.

    Args:
        title: what it shows, with the unit.
        lines: the lines.
        moments: the times of the values, evenly spaced.
        in_seconds: whether the values are seconds, and not numbers.
    """
    known = [value for line in lines for value in line.values if value is not None]
    top = _round_up(max(known, default=0.0))

    def y_of(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top), 1)

    def x_of(place: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * place / max(1, len(moments) - 1), 1)

    def text_of(value: float) -> str:
        return span(value) if in_seconds else f"{value:,.0f}" if top >= 4 else f"{value:.1f}"

    drawn = []
    for number, line in enumerate(lines):
        path = _path([None if value is None else (x_of(place), y_of(value)) for place, value in enumerate(line.values)])
        own = [value for value in line.values if value is not None]
        area = f"{path}L{x_of(len(moments) - 1)} {y_of(0)}L{x_of(0)} {y_of(0)}Z" if number == 0 and len(own) == len(moments) > 1 else ""
        drawn.append(line._replace(path=path, area=area, now=text_of(own[-1]) if own else "", most=text_of(max(own)) if own else ""))
    rows = [Tick(y_of(top * row / TICKS), text_of(top * row / TICKS)) for row in range(TICKS + 1)]
    is_days = bool(moments) and moments[-1] - moments[0] > timedelta(days=1)
    clock = "%a %H:%M" if is_days else "%H:%M"
    step = max(1, (len(moments) - 1) // 4)
    columns = [Tick(x_of(place), f"{moments[place]:{clock}}") for place in range(0, len(moments), step)]
    return Plot(title, drawn, rows, columns, not any(known))


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """Return a path that leaves out moments without a value."""
    parts, is_open = [], False
    for place in places:
        if place is not None:
            parts.append(f"{'L' if is_open else 'M'}{place[0]:g} {place[1]:g}")
            if not is_open:
                parts.append("h0.01")  # a value alone is a dot
        is_open = place is not None
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return a number that is not below a value, and makes round ticks."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(float(step * size) for step in (1, 2, 4, 5, 8, 10) if step * size >= value * 0.999)
