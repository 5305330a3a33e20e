"""The view: one page at a time, read again and again by a thread, and questions before something is ended."""

from collections.abc import Callable
from typing import ClassVar, Final

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from cli.signals import Stop
from cli.top.actions import Action, cancelling, explaining, killing, stopping
from cli.top.page import Page, Row, fitting
from cli.top.question import Question
from cli.top.reading import PAGES, STATUSES, Reader
from notify import Bus, NotifyError, ServerError
from notify.process import printable

__all__ = ["View"]

LOOK_S: Final = 0.1
NAMES_FROM: Final = 56
"""The width from which on the bar names all pages."""
MARKS: Final = {"": " ", "bad": "!", "late": "?"}
STYLES: Final = {"": "", "bad": "red", "late": "yellow"}


class View(App[None]):
    """The whole terminal. Colours are never the only sign, and ``$NO_COLOR`` is honoured.

    Args:
        bus: the bus to read from.
        stop: a signal ends the view.
        interval_s: seconds between two looks at the server.
    """

    CSS = """
    #bar, #state { height: 1; }
    #bar, #lines, #state { text-wrap: nowrap; text-overflow: ellipsis; }
    #lines { height: auto; max-height: 60%; }
    #table { height: 1fr; }
    #empty { height: 1fr; display: none; }
    DataTable > .datatable--cursor { text-style: reverse; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "quit", key_display="q", priority=True),
        *(Binding(str(number), f"show('{name}')", name, show=False) for number, name in enumerate(PAGES, 1)),
        Binding("tab,right", "turn(1)", "next", key_display="tab", priority=True),
        Binding("shift+tab,left", "turn(-1)", "previous", show=False, priority=True),
        Binding("f", "filter", "filter"),
        Binding("e", "explain", "explain"),
        Binding("c", "cancel", "cancel"),
        Binding("k", "kill", "kill"),
        Binding("s", "stop", "stop"),
        Binding("r", "refresh", "refresh", show=False),
    ]

    def __init__(self, bus: Bus, stop: Stop, *, interval_s: float = 1.0) -> None:
        super().__init__(ansi_color=True)
        self._bus, self._stop, self._interval_s = bus, stop, interval_s
        self._reader = Reader(bus)
        self.page_name = PAGES[0]
        """The name of the page that is shown."""
        self.fault: Exception | None = None
        """The error that nobody expected and that ended the view."""
        self._status = STATUSES[0]
        self._page: Page | None = None
        self._rows: dict[str, Row] = {}
        self._is_reading = self._is_behind = self._is_away = False

    def compose(self) -> ComposeResult:
        """Make the parts of the terminal, from top to bottom."""
        yield Static(id="bar")
        yield Static(id="lines")
        table: DataTable[Text] = DataTable(id="table", cursor_type="row", cell_padding=0)
        yield table
        yield Static(id="empty")
        yield Static(id="state")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to read."""
        self.theme = "ansi-dark"  # the colours of the terminal, be it dark or light
        self.query_one("#table").focus()
        self._show_bar()
        self._read()
        self.set_interval(self._interval_s, self._read)
        self.set_interval(LOOK_S, self._look)

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the page to the new size."""
        self._show_bar()
        if self._page is not None:
            self._show(self._page)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key does something on this page, and is shown at the bottom."""
        del parameters
        pages = {"cancel": ("jobs",), "explain": ("jobs",), "filter": ("jobs",), "kill": ("services",), "stop": ("overview",)}
        if isinstance(self.screen, Question) and action != "quit":
            return False
        return self.page_name in pages.get(action, PAGES)

    def action_show(self, name: str) -> None:
        """Show another page."""
        self.page_name, self._page = name, None
        self.query_one(DataTable).clear(columns=True)
        self.query_one("#lines", Static).update("")
        self.say("")
        self._show_bar()
        self.refresh_bindings()
        self._read()

    def action_turn(self, by: int) -> None:
        """Show the next page, or the one before."""
        self.action_show(PAGES[(PAGES.index(self.page_name) + by) % len(PAGES)])

    def action_filter(self) -> None:
        """Show the jobs of the next status."""
        self._status = STATUSES[(STATUSES.index(self._status) + 1) % len(STATUSES)]
        self._read()

    def action_refresh(self) -> None:
        """Read the page now."""
        self._read()

    def action_explain(self) -> None:
        """Say why the job has its status."""
        self._begin(explaining)

    def action_cancel(self) -> None:
        """Cancel the job, after a question."""
        self._begin(cancelling)

    def action_kill(self) -> None:
        """Kill the service, after a question that says what it takes with it."""
        self._begin(killing)

    def action_stop(self) -> None:
        """Tell the worker to end, after a question that says what it has in hand."""
        self._begin(stopping)

    def say(self, text: str, *, is_problem: bool = False) -> None:
        """Show a line at the bottom."""
        self.query_one("#state", Static).update(Text(printable(text), style="bold red" if is_problem else "", no_wrap=True))

    def _handle_exception(self, error: Exception) -> None:
        """End the view. Textual would print the error with the values of all variables."""
        self.fault = self.fault or error
        super()._handle_exception(error)
        self._exit_renderables.clear()

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def _in_thread(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as exc:
                if self.is_running:  # else the view has ended meanwhile
                    self.call_from_thread(self._handle_exception, exc)

        self.run_worker(guarded, thread=True, exit_on_error=False)

    def _begin(self, prepare: Callable[[Bus, str], Action]) -> None:
        """Prepare an action in a thread, and ask whether to do it."""
        row = self._current()
        if row is not None:
            self._in_thread(lambda: self._prepare(prepare, row.key))

    def _prepare(self, prepare: Callable[[Bus, str], Action], key: str) -> None:
        try:
            action = prepare(self._bus, key)
        except NotifyError as exc:
            self.call_from_thread(self.say, str(exc), is_problem=True)
        else:
            self.call_from_thread(self._ask, action)

    def _ask(self, action: Action) -> None:
        act = action.act
        self.push_screen(Question(action.lines, asks=act is not None), lambda is_yes: self._answered(act if is_yes else None))

    def _answered(self, act: Callable[[], str] | None) -> None:
        if act is not None:
            self.say("…")
            self._in_thread(lambda: self._act(act))

    def _act(self, act: Callable[[], str]) -> None:
        try:
            said, is_problem = act(), False
        except NotifyError as exc:
            said, is_problem = str(exc), True
        self.call_from_thread(self.say, said, is_problem=is_problem)
        self.call_from_thread(self._read)

    def _look(self) -> None:
        if self._stop.asked:
            self.exit()

    def _read(self) -> None:
        """Read the page in a thread. If it is read already, read it once more after that."""
        if self._is_reading:
            self._is_behind = True
            return
        self._is_reading = True
        name, width, status = self.page_name, self.size.width, self._status
        self._in_thread(lambda: self._read_page(name, width, status))

    def _read_page(self, name: str, width: int, status: str) -> None:
        """Read a page, in a thread. While the server is away the last page stays, and a line says so."""
        page, problem = None, ""
        try:
            page = self._reader.read(name, width=width, status=status)
        except ServerError as exc:
            problem = f"waiting for the server: {exc}"
        except NotifyError as exc:
            problem = str(exc)
        if self.is_running:
            self.call_from_thread(self._read_done, name, page, problem)

    def _read_done(self, name: str, page: Page | None, problem: str) -> None:
        was_away, self._is_reading = self._is_away, False
        self._is_away = bool(problem)
        if problem or was_away:
            self.say(problem, is_problem=True)
        if page is not None and name == self.page_name:
            self._page = page
            self._show(page)
        if self._is_behind or name != self.page_name:
            self._is_behind = False
            self._read()

    def _current(self) -> Row | None:
        table = self.query_one(DataTable)
        keys = list(self._rows)
        return self._rows[keys[table.cursor_row]] if 0 <= table.cursor_row < len(keys) else None

    def _show_bar(self) -> None:
        bar = Text(no_wrap=True, overflow="crop")
        for number, name in enumerate(PAGES, 1):
            is_named = name == self.page_name or self.size.width >= NAMES_FROM
            bar.append(f" {number} {name} " if is_named else f" {number} ", style="reverse" if name == self.page_name else "")
        bar.append(f"  {printable(self._bus.redis.address)}", style="dim")
        self.query_one("#bar", Static).update(bar)

    def _show(self, page: Page) -> None:
        """Show a page; the row of the cursor stays the row of the same name."""
        table, current = self.query_one(DataTable), self._current()
        columns, cells = fitting(page, self.size.width - 3)
        self._rows = {row.key: row for row in page.rows}
        top = table.scroll_offset
        table.clear(columns=True)
        for name in ("", *columns):
            table.add_column(Text(f"{name}  ", style="bold"), key=name or "mark")
        for row, texts in zip(page.rows, cells, strict=True):
            style = STYLES[row.mark]
            table.add_row(Text(f"{MARKS[row.mark]} ", style=style), *(Text(f"{text}  ", style=style, no_wrap=True) for text in texts))
        keys = list(self._rows)
        if current is not None and current.key in self._rows:
            table.move_cursor(row=keys.index(current.key), scroll=False)
        table.scroll_to(y=top.y, animate=False)
        lines = self.query_one("#lines", Static)
        lines.update(Text("\n".join(map(printable, page.lines)), no_wrap=True))
        lines.display = bool(page.lines)
        empty = self.query_one("#empty", Static)
        empty.update(page.empty)
        empty.display, table.display = not page.rows, bool(page.rows)
