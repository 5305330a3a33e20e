"""What a terminal gets: colour, tables, bars, and a screen that changes. All of it is Rich's, which is imported with this module only.

`cli.output.printer` loads this module when there is a terminal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cli.output.tables import grid
from notify import Json
from notify.process import printable

__all__ = ["Bar", "Board", "Console", "Screen", "counting", "grid", "open_console"]


class Console(RichConsole):
    """A console whose reader may go away. Rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the error of a reader that has gone away."""
        raise BrokenPipeError


def open_console(*, stderr: bool) -> Console:
    """Return the console of stdout or stderr."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)


class Bar:
    """A bar with a text behind it, which vanishes at the end. It starts at once.

    Args:
        console: the console to show it on.
    """

    def __init__(self, console: Console) -> None:
        columns = BarColumn(), TextColumn("{task.fields[summary]}", markup=False)
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task = self._progress.add_task("", total=None, summary="")
        self._progress.start()

    def show(self, done: float, total: float | None, summary: str) -> None:
        """Show how much is done, of a total or ``None`` if nobody knows it, and a text."""
        self._progress.update(self._task, completed=done, total=total, summary=summary, refresh=True)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()


class Board:
    """A table that changes, below what else is printed. It starts at once, and its last state stays.

    Args:
        console: the console to show it on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, columns: Sequence[str], rows: Sequence[Mapping[str, Json]]) -> None:
        """Show records as a table, in place of what is shown."""
        self._live.update(grid(columns, rows, width=self._console.width), refresh=True)

    def close(self) -> None:
        """Leave the table as it is."""
        self._live.stop()


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show a bar within the block. Yields a function to call with each further number that is done."""
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


class Screen:
    """The whole terminal, within a ``with`` block; what it showed before comes back at the end."""

    def __init__(self) -> None:
        self._live = Live(auto_refresh=False, screen=True)

    def show(self, shown: RenderableType) -> None:
        """Show a table, or a text, in place of what is shown."""
        self._live.update(Text(printable(shown)) if isinstance(shown, str) else shown, refresh=True)

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
