"""Groups of commands, such as ``notify queues``, that list what there is if they are called without one of their commands."""

from collections.abc import Callable
from typing import TypeAlias

import typer

from cli.options import AsJson, Header, Namespace, Options, Url, options
from notify import Bus

__all__ = ["lists"]

Show: TypeAlias = Callable[[Bus, Options, bool | None], None]
"""Prints the list: takes the bus, the options, and whether the table has a header."""


def lists(group: typer.Typer, name: str) -> Callable[[Show], Show]:
    """Have a function print the list of a group. Its docstring is the help of the group.

    Args:
        group: the group.
        name: the name of its connection.
    """

    def add(show: Show) -> Show:
        def run(
            context: typer.Context, header: Header = None, url: Url = None, namespace: Namespace = None, as_json: AsJson = False
        ) -> None:
            chosen = options(context, url=url, namespace=namespace, as_json=as_json)
            context.obj = chosen
            if context.invoked_subcommand is None:
                with chosen.connect(name=name) as bus:
                    show(bus, chosen, header)

        group.callback(invoke_without_command=True, help=show.__doc__)(run)
        return show

    return add
