"""``notify call``: calls a method of a service."""

import re
from typing import Annotated, Final

import typer

from cli.options import AsJson, Namespace, Url, json_or_text, options
from cli.output import one_line
from notify import Json, provides

__all__ = ["call"]

_KEYWORD: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
"""An argument of the form ``name=value``. A text of that form is given as JSON, in quotes of its own: '"a=b"'."""


def call(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="The service's name, or 'any CAPABILITY' for a service that provides it.")],
    method: Annotated[str, typer.Argument(help="A method that the service exports.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="""Values, and NAME=VALUE for keyword arguments; a value is JSON, or else text. For text that looks like NAME=VALUE write
            '"a=b"'. Write -- before an argument that begins with a dash.""",
            show_default=False,
        ),
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", "--timeout-s", help="Seconds to wait for the answer.")] = 5.0,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Call a method of a service, and print its result."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    args, kwargs = _split(arguments or [])
    target = provides(service.removeprefix("any ").strip()) if service.startswith("any ") else service
    with chosen.connect(name="notify-call") as bus:
        result: Json = bus.call(target, method, *args, timeout_s=timeout_s, **kwargs)
        chosen.output.record({"service": service, "method": method, "result": result}, one_line(result))


def _split(arguments: list[str]) -> tuple[list[Json], dict[str, Json]]:
    """Return the positional and the keyword arguments.

    Raises:
        typer.BadParameter: a keyword comes twice or is ``timeout_s``, or a value without a keyword comes after one.
    """
    args: list[Json] = []
    kwargs: dict[str, Json] = {}
    for argument in arguments:
        keyword = _KEYWORD.fullmatch(argument)
        if keyword is None and kwargs:
            raise typer.BadParameter(f"{argument!r} comes after {next(reversed(kwargs))}=...: values without a name come first")
        if keyword is None:
            args.append(json_or_text(argument))
        elif keyword[1] in kwargs:
            raise typer.BadParameter(f"{keyword[1]}= is given twice: leave one of them out")
        elif keyword[1] == "timeout_s":
            raise typer.BadParameter("a parameter timeout_s can be given by position only: --timeout is how long to wait for the answer")
        else:
            kwargs[keyword[1]] = json_or_text(keyword[2])
    return args, kwargs
