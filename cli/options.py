"""The options of every command, merged with the environment."""

import os
from contextlib import AbstractContextManager
from typing import TypeVar

import msgspec
import typer

from cli.output import Output
from cli.signals import shielded
from cli.start import LOG_FORMAT, LOG_LEVEL, AsJson, Given, Header, Level, LogFormat, Namespace, Url
from notify import Bus, Json, Settings, SettingsError, connect
from notify.process import JsonFormatter, SafeFormatter, log_to_stderr

__all__ = ["AsJson", "Header", "Namespace", "Options", "Url", "json_or_text", "json_problem", "options"]

Choice = TypeVar("Choice", LogFormat, Level)


class Options(msgspec.Struct, frozen=True):
    """The common options, as given before or after the name of the command."""

    url: str | None = None
    namespace: str | None = None
    as_json: bool = False
    log_format: LogFormat = LogFormat.TEXT
    log_level: Level | None = None

    @property
    def log_environ(self) -> dict[str, str]:
        """The environment of a child that is to log in the same form."""
        return {"NOTIFY_LOG_FORMAT": self.log_format} | ({"NOTIFY_LOG_LEVEL": self.log_level} if self.log_level else {})

    @property
    def settings(self) -> Settings:
        """The settings from the environment, overridden by the options.

        Raises:
            SettingsError: a setting cannot be used, or the server would be a fake one in the memory of this command.
        """
        given = {"url": self.url, "namespace": self.namespace}
        found = msgspec.structs.replace(
            Settings.from_env(os.environ), **{name: value for name, value in given.items() if value is not None}
        )
        if found.url is not None and found.url.startswith("memory:"):
            raise SettingsError(
                f"{found.url!r} is a fake server inside one process, and every command is a process of its own: give another URL"
            )
        return found

    @property
    def output(self) -> Output:
        """The output of the command."""
        return Output(as_json=self.as_json)

    def connect(self, *, name: str) -> AbstractContextManager[Bus]:
        """Connect with these settings, for the length of a ``with`` block."""
        settings = self.settings
        if settings.url is not None:
            return connect(settings=settings, name=name)
        # Ctrl-C while a private server starts or stops would leave the server behind.
        return shielded(lambda: connect(settings=settings, name=name))


def options(context: typer.Context, *, url: str | None, namespace: str | None, as_json: bool) -> Options:
    """Return the options given before the command's name, overridden by those given after it. Send the log to stderr.

    Raises:
        SettingsError: $NOTIFY_LOG_FORMAT or $NOTIFY_LOG_LEVEL has another value than the options may have.
    """
    log_format, log_level = _chosen(context, LOG_FORMAT, LogFormat) or LogFormat.TEXT, _chosen(context, LOG_LEVEL, Level)
    text = SafeFormatter("%(levelname)s %(name)s: %(message)s")
    log_to_stderr(JsonFormatter() if log_format is LogFormat.JSON else text, level=log_level or "WARNING")
    given = context.obj if isinstance(context.obj, Options | Given) else Given()
    url, namespace = given.url if url is None else url, given.namespace if namespace is None else namespace
    return Options(url, namespace, as_json or given.as_json, log_format, log_level)


def _chosen(context: typer.Context, name: str, kind: type[Choice]) -> Choice | None:
    """Return what was chosen by an option, else by the variable of that name; ``None`` if nothing was."""
    variable = name.replace(".", "_").upper()
    found = context.meta.get(name) or os.environ.get(variable)
    try:
        return None if not found else kind(found.lower() if kind is LogFormat else found.upper())
    except ValueError:
        raise SettingsError(f"${variable} is {found!r}: give {', '.join(kind)}") from None


def json_or_text(argument: str) -> Json:
    """Decode an argument as JSON, or return it as text: ``21.5`` is a number, ``21 °C`` is text."""
    return argument if json_problem(argument) is not None else msgspec.json.decode(argument)


def json_problem(text: str) -> str | None:
    """Return why a text is no JSON; ``None`` if it is."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        return str(exc)
    return None
