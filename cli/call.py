"""``notify call``: calls a method of a service."""

from typing import Annotated

import typer

from cli.options import AsJson, Namespace, Url, json_or_text, options
from cli.output import one_line
from notify import Json

__all__ = ["call"]


def call(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="The service's name, as `notify services` shows it.")],
    method: Annotated[str, typer.Argument(help="A method that the service exports.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="JSON or text; write -- before an argument that begins with a dash.", show_default=False)
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout-s", help="Seconds to wait for the answer.")] = 5.0,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Call a method of a service, and print its result."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-call") as bus:
        result: Json = bus.call(service, method, *map(json_or_text, arguments or []), timeout_s=timeout_s)
        chosen.output.record({"service": service, "method": method, "result": result}, one_line(result))
