"""A question in the middle of the terminal, before something is ended."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from notify.process import printable

__all__ = ["Question"]


class Question(ModalScreen[bool]):
    """Shows lines, and asks for y or n; anything else leaves all as it is.

    Args:
        lines: what would be done.
        asks: whether there is something to decide; else the lines are only shown.
    """

    CSS = """
    Question { align: center middle; }
    #box { width: 90%; height: auto; max-height: 80%; border: solid; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,enter,space", "answer(False)", "no"),
    ]

    def __init__(self, lines: Sequence[str], *, asks: bool) -> None:
        super().__init__()
        self._lines = [*lines, "", "y: yes   n: no" if asks else "Esc: back"]
        self._asks = asks

    def compose(self) -> ComposeResult:
        """Make the box."""
        with VerticalScroll(id="box"):
            yield Static(Text("\n".join(map(printable, self._lines))))

    def action_answer(self, is_yes: bool) -> None:
        """Close the question with an answer."""
        self.dismiss(is_yes and self._asks)
