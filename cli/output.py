"""What a command prints: data on stdout, as tables, plain lines or JSON lines; talk on stderr."""

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

__all__ = ["NobodyReadsError", "Output", "one_line"]

GUTTER = 2
"""Between two columns."""
WRAPPED = frozenset({"provides", "groups", "needs", "why", "subscribers"})
"""Columns whose cells can be broken."""


class NobodyReadsError(Exception):
    """Who read our output has had enough, as ``head`` has after a few lines."""


class Output:
    """Prints for one command.

    On a terminal that is tables and colour (``NO_COLOR`` is honoured); elsewhere lines with tabs; with ``--json`` one
    JSON object a line. What is no terminal gets UTF-8, whatever the locale.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = Console(soft_wrap=True, highlight=False, emoji=False)
        self._stderr = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    @property
    def pretty(self) -> bool:
        """Whether a person looks at it."""
        return self._stdout.is_terminal and not self.as_json

    @property
    def display(self) -> Console | None:
        """Where something that changes is shown to a person: stderr, if that is a terminal and no JSON was asked for."""
        return self._stderr if self._stderr.is_terminal and not self.as_json else None

    def talk(self, text: str, *, style: str = "") -> None:
        """Tell the person at the terminal something that is not data."""
        self._stderr.print(text, style=style, markup=False)

    def line(self, text: str, *, style: str = "") -> None:
        """Print one line of data as it is.

        Raises:
            NobodyReadsError: our output was closed.
        """
        try:
            if self.pretty:
                self._stdout.print(text, style=style, markup=False)
            else:
                sys.stdout.buffer.write(f"{text}\n".encode())
                sys.stdout.buffer.flush()
        except OSError as exc:
            # Python would try again, and complain, when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(exc, BrokenPipeError):
                raise NobodyReadsError from exc
            raise

    def record(self, record: Mapping[str, Json], text: str, *, style: str = "") -> None:
        """Print one thing: its record as JSON, or its text."""
        self.line(msgspec.json.encode(record).decode() if self.as_json else text, style=style)

    def table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Json]], *, empty: str) -> None:
        """Print records; ``empty`` is said where there is none and a person looks."""
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
        """The table that a person sees, to be shown by somebody else. What does not fit is left out from the right, and said so."""
        shown = list(columns)
        while len(shown) > 1 and sum(_least_width(column, rows) + GUTTER for column in shown) > self._stdout.width:
            shown.pop()
        left_out = [column for column in columns if column not in shown]
        caption = f"no room for {', '.join(left_out)}: widen the terminal, or use --json" if left_out else None
        table = Table(box=None, header_style="bold", pad_edge=False, caption=caption, caption_justify="left")
        for column in shown:
            # Lists and sentences are broken between words; what names something never is.
            table.add_column(column, no_wrap=column not in WRAPPED, min_width=_least_width(column, rows))
        for row in rows:
            table.add_row(*(Text(_shown(row[column])) for column in shown))
        return table

    def item(self, item: Event | Gap, *, verbose: bool = False) -> None:
        """Print what a subscriber received, with source and id if asked; a gap is loud."""
        if isinstance(item, Gap):
            record: dict[str, Json] = {"gap": item.topic, "reason": item.reason, "first": item.first, "last": item.last}
            self.record(record, f"GAP in {item.topic}: events after {item.first} are missing ({item.reason})", style="bold red")
            return
        contents = item.contents
        told: dict[str, Json] = {"topic": item.topic, "time": item.time.isoformat(), "source": item.source, "id": item.id}
        if isinstance(contents, Failure):
            told["error"] = {"type": contents.type, "message": contents.message, "fatal": contents.fatal}
            text, style = one_line(f"{contents.type}: {contents.message}"), "bold red" if contents.fatal else "red"
        else:
            contents = contents.to_contents() if isinstance(contents, Message) else contents
            told["contents"] = contents
            text, style = one_line(contents), ""
        time = f"{item.time:%H:%M:%S.%f}"[:-3] + "Z"
        origin = f"\t{one_line(item.source or '-')}\t{item.id or 'by hand'}" if verbose else ""
        self.record(told, f"{time}\t{one_line(item.topic)}{origin}\t{text}", style=style)


def one_line(value: Json) -> str:
    """Text as it is, anything else as JSON; escaped if it would break the line or command the terminal."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if text.isprintable() else json.dumps(value)


def _least_width(column: str, rows: Sequence[Mapping[str, Json]]) -> int:
    """How narrow a column can be without breaking a word."""
    texts = [_shown(row[column]) for row in rows]
    parts = [part for text in texts for part in text.split()] if column in WRAPPED else texts
    return max(map(len, [column, *parts]))


def _shown(value: Any) -> str:
    """A cell for a person."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
