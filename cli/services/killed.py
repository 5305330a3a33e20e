"""The end of a command whose service was killed: a line that says so, and an exit code of its own."""

from contextlib import suppress
from typing import Final

import typer

from cli.output import Output
from notify import Bus, NotifyError, ServerError, Service, ServiceKilledError

__all__ = ["KILLED", "end_if_killed"]

KILLED: Final = 5
"""Exit code of a command whose service was killed. It is none of success: a supervisor starts the service again, as after a crash."""


def end_if_killed(service: Service, bus: Bus, output: Output) -> None:
    """End the command if its service was killed, as by ``notify kill``, and say by which process.

    Raises:
        typer.Exit: it was, with the code `KILLED`.
    """
    try:
        if not service.incarnation or not service.wait(0):
            return
        service.check()
    except ServiceKilledError as exc:
        by = ""
        with suppress(ServerError):
            by = bus.directory.ended_by(service.name)
        output.talk(f"notify: {exc}" + (f" (by process {by})" if by else ""), style="red")
        raise typer.Exit(KILLED) from exc
    except NotifyError:  # it was closed
        return
