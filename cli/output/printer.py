"""The output of a command: data on stdout as tables, plain lines or JSON lines; messages on stderr.

Nothing else prints. Line breaks and tabs are of the layout, which is made here; in data they are escaped, as all control characters are.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from cli.start import drop
from notify import Event, Failure, Gap, Json, Message
from notify.process import printable, printable_json, write_line

if TYPE_CHECKING:
    from rich.table import Table

    from cli.output.terminal import Bar, Board, Console, Screen

__all__ = ["Output", "OutputClosedError", "cell", "lines_of_event", "one_line"]


class OutputClosedError(Exception):
    """The reader of stdout has closed it, as ``head`` does after a few lines."""


class Output:
    """Prints for one command.

    A terminal gets tables and colour (``NO_COLOR`` is honoured), a pipe or file gets lines with tabs, and with ``--json``
    both get one JSON object per line. A pipe or file always gets UTF-8, whatever the locale.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def _stdout(self) -> "Console":
        console: Console = _terminal().open_console(stderr=False)
        return console

    @cached_property
    def _stderr(self) -> "Console":
        console: Console = _terminal().open_console(stderr=True)
        return console

    @property
    def pretty(self) -> bool:
        """Whether stdout is a terminal and the output is not JSON."""
        return not self.as_json and _may_be_terminal(sys.stdout) and self._stdout.is_terminal

    @property
    def can_change(self) -> bool:
        """Whether stderr can show what changes: it is a terminal, and the output is not JSON."""
        return not self.as_json and _may_be_terminal(sys.stderr) and self._stderr.is_terminal

    def bar(self) -> "Bar | None":
        """Show a bar on stderr; ``None`` if that is no terminal, or the output is JSON."""
        bar: Bar | None = _terminal().Bar(self._stderr) if self.can_change else None
        return bar

    def board(self) -> "Board | None":
        """Show a table that changes on stderr; ``None`` if that is no terminal, or the output is JSON."""
        if not self.can_change:
            return None
        if self.pretty:
            self._stdout = self._stderr  # one console knows both: it prints data above the table, and not across it
        board: Board = _terminal().Board(self._stderr)
        return board

    def counting(self, what: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        """Show within a block how many are done, if stderr is a terminal. Yields a function to call with each further number."""
        if not self.can_change:
            return nullcontext(lambda _: None)
        shown: AbstractContextManager[Callable[[int], object]] = _terminal().counting(self._stderr, what, total)
        return shown

    def screen(self) -> "Screen":
        """Return the whole terminal, to use in a ``with`` block; only where the output is `pretty`."""
        screen: Screen = _terminal().Screen()
        return screen

    def talk(self, *lines: str, style: str = "") -> None:
        """Print a message, which is not data, to stderr, in one or more lines."""
        if write_line("\n".join(lines), level=logging.ERROR if "red" in style else logging.INFO):
            return
        try:
            text = "\n".join(map(printable, lines))
            if _may_be_terminal(sys.stderr):
                self._stderr.print(text, style=style, markup=False)
            else:
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()
        except OSError:  # there is nobody to tell it to, and the command has other things to do
            drop(sys.stderr)

    def line(self, *cells: str, style: str = "") -> None:
        """Print one line of data, with a tab between two cells.

        Raises:
            OutputClosedError: stdout was closed by its reader.
        """
        text = "\t".join(map(printable, cells))
        try:
            if self.pretty:
                self._stdout.print(text, style=style, markup=False)
            else:
                sys.stdout.buffer.write(f"{text}\n".encode())
                sys.stdout.buffer.flush()
        except OSError as exc:
            drop(sys.stdout)
            if isinstance(exc, BrokenPipeError):
                raise OutputClosedError from exc
            raise

    def record(self, record: Mapping[str, Json], *cells: str, style: str = "") -> None:
        """Print a record as JSON, or its cells as one line."""
        self.lines(record, [cells], style=style)

    def lines(self, record: Mapping[str, Json], lines: Iterable[Sequence[str]], *, style: str = "") -> None:
        """Print a record as JSON, or as lines of cells."""
        for cells in [(_json_line(record),)] if self.as_json else lines:
            self.line(*cells, style=style)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Mapping[str, Json]],
        *,
        empty: str,
        shown: Sequence[str] | None = None,
        spare: Sequence[str] = (),
        header: bool | None = None,
        always_says: bool = False,
    ) -> None:
        """Print records as a table. If there are none, a terminal gets the message ``empty``.

        Elsewhere than on a terminal the records are lines with tabs, for scripts. Under ``watch`` they are a table, too.

        Args:
            columns: the columns of lines with tabs. New ones are added at the end only.
            rows: one record each; as JSON they are printed as they are.
            empty: the message.
            shown, spare: the columns of a table, by default the same; and those to leave out first, as for `grid`.
            header: print a line with the names of the columns, or not; by default a table has it, and lines with tabs have not.
            always_says: print ``empty`` elsewhere than on a terminal, too; it goes to stderr.
        """
        if always_says and not rows:
            self.talk(empty)
            return
        if self.as_json:
            for row in rows:
                self.line(_json_line(row))
        elif header is False or not (self.pretty or _is_watched()):
            if header:
                self.line(*columns)
            for row in rows:
                self.line(*(cell(row[column]) for column in columns))
        elif not rows:
            self.talk(empty)
        elif self.pretty:
            self._stdout.print(self.grid(shown or columns, rows, spare=spare), soft_wrap=False)
        else:
            with self._stdout.capture() as captured:
                self._stdout.print(self.grid(shown or columns, rows, spare=spare), soft_wrap=False)
            for line in captured.get().splitlines():
                self.line(line.rstrip())

    def grid(self, columns: Sequence[str], rows: Sequence[Mapping[str, Json]], *, spare: Sequence[str] = ()) -> "Table":
        """Return the table for this terminal, with the columns that fit; see `cli.output.tables.grid`."""
        table: Table = _terminal().grid(columns, rows, width=self._stdout.width, spare=spare)
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
        origin = (one_line(item.source or "-"), item.id or "by hand") if verbose else ()
        self.record(record, time, one_line(item.topic), *origin, text, style=style)


def lines_of_event(event: Event) -> list[tuple[str]]:
    """Return the four lines of an event as text: what it is, topic, time, contents. Line breaks in the data stay in their line."""
    topic = f"Topic: {event.topic}"
    head, _, rest = str(event).partition(f"\n{topic}\n")
    time, _, contents = rest.partition("\n")
    return [(head,), (topic,), (time,), (contents,)]


def one_line(value: Json) -> str:
    """Return text as it is and other values as JSON; text with line breaks or control characters is JSON, too."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if text.isprintable() else printable_json(json.dumps(text) if isinstance(value, str) else text)


def _json_line(record: Mapping[str, Json]) -> str:
    return printable_json(msgspec.json.encode(record).decode())


def cell(value: Any) -> str:
    """Return the text of a value in a line with tabs."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def _terminal() -> Any:
    """Return the module for terminals. It imports Rich, which takes longer than a short command."""
    return import_module("cli.output.terminal")


def _may_be_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, or Rich is to be asked because the environment says to treat it as one."""
    try:
        return stream.isatty() or any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
    except ValueError:  # it is closed
        return False


def _is_watched() -> bool:
    """Return whether ``watch`` shows the output: it exports the size of its terminal, keeps that as stdin, and joins stdout and stderr.

    The size alone says nothing: other programs export it, too.
    """
    try:
        has_size = all(os.environ.get(name, "").isdecimal() for name in ("COLUMNS", "LINES"))
        return has_size and sys.stdin.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # a stream is closed, or no file
        return False
