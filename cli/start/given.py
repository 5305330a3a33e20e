"""The options that every command has, as they were given.

Those of the log are added to each command when it is loaded: no command has to name them.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import typer

__all__ = [
    "LOG_FORMAT",
    "LOG_LEVEL",
    "AsJson",
    "Given",
    "Header",
    "Level",
    "LogFormat",
    "MetricsPort",
    "Namespace",
    "ServiceName",
    "Url",
    "add_log_options",
]

Url = Annotated[
    str | None, typer.Option("--url", help="Redis server; else $NOTIFY_URL, $REDIS_URL, or the private server.", show_default=False)
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="First part of every key; else $NOTIFY_NAMESPACE.", show_default=False)]
ServiceName = Annotated[str, typer.Argument(metavar="NAME", help="The service's name, as `notify services` shows it.")]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Print the names of the columns, or only lines with tabs. By default on a terminal, and in watch.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


LOG_FORMAT: Final = "notify.log_format"
LOG_LEVEL: Final = "notify.log_level"
"""Where the chosen format and level stand in the ``meta`` of a context, which all contexts of a command line share."""


class LogFormat(StrEnum):
    """The form of the log."""

    TEXT = "text"
    JSON = "json"


class Level(StrEnum):
    """The lowest level of log messages that are shown."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


MetricsPort = Annotated[
    str | None,
    typer.Option(
        "--metrics-port", metavar="PORT", help="Serve metrics, /healthz and /readyz at PORT, or HOST:PORT, meanwhile.", show_default=False
    ),
]


class Given(NamedTuple):
    """The common options that stand before the name of the command."""

    url: str | None = None
    namespace: str | None = None
    as_json: bool = False


def add_log_options(command: Any) -> None:
    """Add ``--log-format`` and ``--log-level`` to a command, as Typer runs it, and to those below it, unless it has its own."""
    own = {name for param in command.params for name in param.opts}
    for param in _log_params():
        if not own.intersection(param.opts):
            command.params.append(param)
    for below in getattr(command, "commands", {}).values():
        add_log_options(below)


def _log_params() -> list[Any]:
    """Return the two options. They store what was given in the context, and pass nothing to the command."""
    app = typer.Typer(add_completion=False)
    app.command()(_log_options)
    params = [param for param in typer.main.get_command(app).params if param.name in ("log_format", "log_level")]
    for param in params:
        param.expose_value = False
        param.callback = _note
    return list(params)


def _log_options(
    log_format: Annotated[
        LogFormat | None, typer.Option("--log-format", help="Form of the log and of messages on stderr.", show_default="text")
    ] = None,
    log_level: Annotated[
        Level | None, typer.Option("--log-level", case_sensitive=False, help="Lowest level of the log.", show_default="WARNING")
    ] = None,
) -> None:
    """Stand for the options; nobody calls this."""


def _note(context: Any, param: Any, value: str | None) -> None:
    if value is not None:
        context.meta[f"notify.{param.name}"] = str(value)
