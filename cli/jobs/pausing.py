"""The commands ``pause`` and ``resume`` of what jobs come from: queues, and recurring jobs."""

from collections.abc import Callable
from typing import Any, Final

import redis
import typer

from cli.options import AsJson, Namespace, Url, options
from notify import Json

__all__ = ["add_pausing"]

Change = Callable[[redis.Redis, str], bool]
"""Pauses or resumes what has that name; returns whether that changed anything."""

PAUSED: Final = ("is paused", "is paused already")
RESUMED: Final = ("goes on", "is not paused")


def add_pausing(group: typer.Typer, kind: str, name: Any, *, pause: Change, pausing: str, resume: Change, resuming: str) -> None:
    """Add both commands to a group.

    Args:
        group: the group.
        kind: what is paused, the name of its member in the JSON output: ``queue`` or ``function``.
        name: the annotated type of the argument.
        pause, resume: what the commands do.
        pausing, resuming: the help of the commands.
    """
    _add(group, "pause", kind, name, pause, pausing, said=PAUSED, is_paused=True)
    _add(group, "resume", kind, name, resume, resuming, said=RESUMED, is_paused=False)


def _add(
    group: typer.Typer, command: str, kind: str, name: Any, change: Change, about: str, *, said: tuple[str, str], is_paused: bool
) -> None:
    def run(context: typer.Context, named: str, url: Url = None, namespace: Namespace = None, as_json: AsJson = False) -> None:
        chosen = options(context, url=url, namespace=namespace, as_json=as_json)
        with chosen.connect(name=f"notify-{command}") as bus:
            changed = change(bus.redis, named)
            record: dict[str, Json] = {kind: named, "paused": is_paused, "changed": changed}
            chosen.output.record(record, f"{named} {said[0] if changed else said[1]}")

    run.__annotations__["named"] = name
    group.command(command, help=about)(run)
