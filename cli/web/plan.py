"""What an action would do, for the page that asks; and what it did, for the page that tells."""

from collections.abc import Sequence
from typing import NamedTuple

from notify import Json

__all__ = ["Done", "Field", "Plan"]


class Field(NamedTuple):
    """A field of the form that asks."""

    name: str
    label: str
    value: str = ""
    long: bool = False


class Plan(NamedTuple):
    """What an action would do.

    Args:
        name: the action.
        title: a question.
        sentences: what will happen.
        button: the text of the button that does it.
        columns, rows: numbers, if there are several.
        fields: what the person may add.
        is_danger: whether it cannot be taken back.
        possible: whether there is anything to do.
    """

    name: str
    title: str
    sentences: Sequence[str]
    button: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str | int]] = ()
    fields: Sequence[Field] = ()
    is_danger: bool = False
    possible: bool = True


class Done(NamedTuple):
    """What an action did.

    Args:
        title: in short.
        sentences: the details.
        what: what it was done to, for the event on the topic ``ops``.
        back: where to go on; empty: where the person came from.
    """

    title: str
    sentences: Sequence[str]
    what: dict[str, Json]
    back: str = ""
