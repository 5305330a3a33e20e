"""The options that say which part of a recording is meant, and the reader for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from notify.flows.recording import OnDamage, Reader

__all__ = ["Folders", "From", "SkipDamaged", "To", "Topics", "open_reader", "time_of"]

Folders = Annotated[list[Path], typer.Argument(help="Folders of recordings; several are merged in the order of time.", metavar="DIR...")]
From = Annotated[
    str | None,
    typer.Option("--from", help="Begin at this time: 2026-11-27T07:00, in UTC unless it has a zone, or +90 for 90 s after the begin."),
]
To = Annotated[str | None, typer.Option("--to", help="End before this time, given in the same way.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", "-t", help="Only this topic or glob pattern; may be repeated.")]
SkipDamaged = Annotated[bool, typer.Option("--skip-damaged", help="Leave out parts that are damaged, and tell of them.")]


def open_reader(
    folders: Sequence[Path],
    *,
    begin: str | None = None,
    end: str | None = None,
    topics: Sequence[str] | None = None,
    skip_damaged: bool = False,
) -> Reader:
    """Return the reader for what the options say; errors as for `Reader`."""
    on_damage: OnDamage = "skip" if skip_damaged else "raise"
    start = None
    if any(text is not None and text.startswith("+") for text in (begin, end)):
        span = Reader(*folders, on_damage=on_damage).span
        start = None if span is None else span[0]
    since, until = (None if text is None else time_of(text, start) for text in (begin, end))
    return Reader(*folders, since=since, until=until, topics=topics or None, on_damage=on_damage)


def time_of(text: str, start: datetime | None) -> datetime:
    """Return a time that was given as an argument.

    Args:
        text: a time as in ISO 8601, or ``+`` and seconds after ``start``.
        start: the begin of the recording; ``None`` if it is empty.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        if text.startswith("+"):
            return (start or datetime.now(UTC)) + timedelta(seconds=float(text))
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise typer.BadParameter(f"{text!r} is no time: give one such as 2026-11-27T07:00:00, or +90 for 90 s after the begin") from exc
