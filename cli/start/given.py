"""The options that every command has, as they were given."""

from typing import Annotated, NamedTuple

import typer

__all__ = ["AsJson", "Given", "Header", "Namespace", "Url"]

Url = Annotated[
    str | None, typer.Option("--url", help="Redis server; else $NOTIFY_URL, $REDIS_URL, or the private server.", show_default=False)
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="First part of every key; else $NOTIFY_NAMESPACE.", show_default=False)]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Print the names of the columns, or only lines with tabs. By default on a terminal, and in watch.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


class Given(NamedTuple):
    """The common options that stand before the name of the command."""

    url: str | None = None
    namespace: str | None = None
    as_json: bool = False
