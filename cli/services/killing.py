"""``notify kill``: ends a service."""

from typing import Annotated

import msgspec
import typer

from cli.options import AsJson, Namespace, Url, options
from cli.start import ServiceName
from workers import preview_loss

__all__ = ["kill"]

COLUMNS = ("queue", "on_loss", "waiting", "running")


def kill(
    context: typer.Context,
    name: ServiceName,
    reason: Annotated[str, typer.Option("--reason", help="Announced with the end of the service.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Kill nothing: count the jobs that need the service, by queue and policy.")
    ] = False,
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """End a service: withdraw it at once, apply the loss to the jobs that need it, and tell its process."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    with chosen.connect(name="notify-kill") as bus:
        if dry_run:
            bus.directory.lookup(name, overdue=True)
            rows = [msgspec.structs.asdict(stake) for stake in preview_loss(bus.redis, name)]
            chosen.output.table(COLUMNS, rows, empty=f"no job needs {name}", always_says=True)
            return
        event_id = bus.directory.kill(name, why=reason)
        chosen.output.record({"service": name, "event": event_id}, f"{name} killed ({event_id})")
