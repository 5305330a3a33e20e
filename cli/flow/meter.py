"""Shows the counters of a flow: a table that changes on a terminal, else a line for each node now and then."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

import msgspec

from cli.output import Output
from notify.flows import Counters, Flow

if TYPE_CHECKING:
    from cli.output.terminal import Board

__all__ = ["Meter"]

COLUMNS: Final = ("node", "in", "out", "errors", "dropped", "queued", "busy_ms")
SCREEN_S: Final = 0.25
LINES_S: Final = 5.0


class Meter:
    """Shows the counters of the nodes of a flow on stderr, within a ``with`` block; call `show` often.

    Args:
        output: the output of the command.
        flow: the flow.
        is_shown: whether to show anything.
    """

    def __init__(self, output: Output, flow: Flow, *, is_shown: bool) -> None:
        self._output, self._flow, self._is_shown = output, flow, is_shown
        self._board: Board | None = None
        self._next_at = 0.0

    def show(self) -> None:
        """Show the counters, if it is time to."""
        now = time.monotonic()
        if not self._is_shown or now < self._next_at:
            return
        self._next_at = now + (LINES_S if self._board is None else SCREEN_S)
        rows = [_row(name, counters) for name, counters in self._flow.counters().items()]
        if self._board is not None:
            self._board.show(COLUMNS, rows)
        elif self._output.as_json:
            self._output.talk(*(msgspec.json.encode(row).decode() for row in rows))
        else:
            self._output.talk(*(_line(row) for row in rows))

    def __enter__(self) -> "Meter":
        self._board = self._output.board() if self._is_shown else None
        self._next_at = time.monotonic() + (LINES_S if self._board is None else 0.0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._next_at = 0.0
        self.show()
        if self._board is not None:
            self._board.close()


def _row(name: str, counters: Counters) -> dict[str, str | int]:
    return {"node": name, "in": counters.taken, **{key: getattr(counters, key) for key in COLUMNS[2:]}}


def _line(row: dict[str, str | int]) -> str:
    shown = [f"{row[key]} {key}" for key in ("in", "out", "errors", "dropped", "queued") if row[key] or key in ("in", "out")]
    return f"{row['node']}: {', '.join(shown)}, busy for {row['busy_ms']} ms"
