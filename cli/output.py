"""The output of a command: data on stdout as tables, plain lines or JSON lines; messages on stderr."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notify import Event, Failure, Gap, Json, Message

__all__ = ["Output", "OutputClosedError", "one_line"]

GUTTER = 2
"""Spaces between two columns."""
WRAPPED = frozenset({"provides", "groups", "needs", "why", "subscribers"})
"""Columns whose cells may wrap."""


class OutputClosedError(Exception):
    """The reader of stdout has closed it, as ``head`` does after a few lines."""


class Output:
    """Prints for one command.

    A terminal gets tables and colour (``NO_COLOR`` is honoured), a pipe or file gets lines with tabs, and with ``--json``
    both get one JSON object per line. A pipe or file always gets UTF-8, whatever the locale.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = Console(soft_wrap=True, highlight=False, emoji=False)
        self._stderr = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    @property
    def pretty(self) -> bool:
        """Whether stdout is a terminal and the output is not JSON."""
        return self._stdout.is_terminal and not self.as_json

    @property
    def display(self) -> Console | None:
        """The console for a display that changes: stderr, if it is a terminal and the output is not JSON."""
        return self._stderr if self._stderr.is_terminal and not self.as_json else None

    def talk(self, text: str, *, style: str = "") -> None:
        """Print a message, which is not data, to stderr."""
        self._stderr.print(_printable(text), style=style, markup=False)

    def line(self, text: str, *, style: str = "") -> None:
        """Print one line of data.

        Raises:
            OutputClosedError: stdout was closed by its reader.
        """
        text = _printable(text)
        try:
            if self.pretty:
                self._stdout.print(text, style=style, markup=False)
            else:
                sys.stdout.buffer.write(f"{text}\n".encode())
                sys.stdout.buffer.flush()
        except OSError as exc:
            # Python would try to write again, and report an error, when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(exc, BrokenPipeError):
                raise OutputClosedError from exc
            raise

    def record(self, record: Mapping[str, Json], text: str, *, style: str = "") -> None:
        """Print a record as JSON, or its text."""
        self.line(msgspec.json.encode(record).decode() if self.as_json else text, style=style)

    def table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Json]], *, empty: str) -> None:
        """Print records as a table. If there are none, a terminal gets the message ``empty``."""
        if self.as_json:
            for row in rows:
                self.line(msgspec.json.encode(row).decode())
        elif not self.pretty:
            for row in rows:
                self.line("\t".join(_cell(row[column]) for column in columns))
        elif not rows:
            self.talk(empty)
        else:
            self._stdout.print(self.grid(columns, rows), soft_wrap=False)

    def grid(self, columns: Sequence[str], rows: Sequence[Mapping[str, Json]]) -> Table:
        """Return the table for a terminal. Columns that do not fit are left out from the right, and the caption names them."""
        shown = list(columns)
        while len(shown) > 1 and sum(_least_width(column, rows) + GUTTER for column in shown) > self._stdout.width:
            shown.pop()
        left_out = [column for column in columns if column not in shown]
        caption = f"no room for {', '.join(left_out)}: widen the terminal, or use --json" if left_out else None
        table = Table(box=None, header_style="bold", pad_edge=False, caption=caption, caption_justify="left")
        for column in shown:
            # Lists and sentences wrap between words; names never wrap.
            table.add_column(column, no_wrap=column not in WRAPPED, min_width=_least_width(column, rows))
        for row in rows:
            table.add_row(*(Text(_printable(_shown(row[column]))) for column in shown))
        return table

    def item(self, item: Event | Gap, *, verbose: bool = False) -> None:
        """Print an event or a gap; with ``verbose`` also the source and id."""
        if isinstance(item, Gap):
            record: dict[str, Json] = {"gap": item.topic, "reason": item.reason, "first": item.first, "last": item.last}
            self.record(record, f"GAP in {item.topic}: events after {item.first} are missing ({item.reason})", style="bold red")
            return
        contents = item.contents
        record = {"topic": item.topic, "time": item.time.isoformat(), "source": item.source, "id": item.id}
        if isinstance(contents, Failure):
            record["error"] = {"type": contents.type, "message": contents.message, "fatal": contents.fatal}
            text, style = one_line(f"{contents.type}: {contents.message}"), "bold red" if contents.fatal else "red"
        else:
            contents = contents.to_contents() if isinstance(contents, Message) else contents
            record["contents"] = contents
            text, style = one_line(contents), ""
        time = f"{item.time:%H:%M:%S.%f}"[:-3] + "Z"
        origin = f"\t{one_line(item.source or '-')}\t{item.id or 'by hand'}" if verbose else ""
        self.record(record, f"{time}\t{one_line(item.topic)}{origin}\t{text}", style=style)


def one_line(value: Json) -> str:
    """Return text as it is and other values as JSON. Text with line breaks or control characters is escaped."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if text.isprintable() else json.dumps(value)


def _printable(text: str) -> str:
    """Return a text in which control characters other than tabs and line breaks are escaped: a terminal would obey them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\t\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _least_width(column: str, rows: Sequence[Mapping[str, Json]]) -> int:
    """Return the smallest width of a column that breaks no word."""
    texts = [_shown(row[column]) for row in rows]
    parts = [part for text in texts for part in text.split()] if column in WRAPPED else texts
    return max(map(len, [column, *parts]))


def _shown(value: Any) -> str:
    """Return the text of a cell on a terminal."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
