"""The error that ends a command: one line on stderr, and an exit code. Loaded when there is an error, and not before."""

import traceback
from typing import Any, Final

import typer

from cli.output.printer import Output, OutputClosedError
from cli.start import UsageError
from notify import (
    EmptySubscriptionError,
    InvalidPositionError,
    InvalidServiceError,
    InvalidTopicError,
    NotifyError,
    ServerError,
    SettingsError,
)
from workers import JobArgumentsError, JobDefinitionError, ModuleLoadError, WorkersFailedError

__all__ = ["print_failure", "print_fault"]

USAGE_ERRORS: Final = (
    SettingsError,
    InvalidTopicError,
    InvalidPositionError,
    EmptySubscriptionError,
    InvalidServiceError,
    JobArgumentsError,
    JobDefinitionError,
    ModuleLoadError,
)


def print_failure(error: Exception) -> int | None:
    """Print an error that a command tells the user. Returns the exit code; ``None`` if the error is none of these."""
    if isinstance(error, OutputClosedError | BrokenPipeError):
        return 0
    if isinstance(error, UsageError):
        return None if type(error).__name__ == "NoArgsIsHelpError" else _print(_usage_problem(error), code=2)  # none: typer shows the help
    if isinstance(error, WorkersFailedError):  # it quotes a traceback
        return _print(*str(error).split("\n"), code=1)
    if isinstance(error, NotifyError):
        return _print(str(error), code=2 if isinstance(error, USAGE_ERRORS) else 3 if isinstance(error, ServerError) else 1)
    if isinstance(error, UnicodeError):
        return _print(f"an argument or a setting is not UTF-8: {error}", code=2)
    if isinstance(error, OSError):
        return _print(f"the operating system reported an error: {error}", code=1)
    return None


def print_fault(error: Exception) -> None:
    """Print the traceback of an error that nobody expected. It may quote anybody's data."""
    Output(as_json=False).talk(*"".join(traceback.format_exception(error)).rstrip("\n").split("\n"))


def _print(message: str, *more: str, code: int) -> int:
    Output(as_json=False).talk(f"notify: {message}", *more, style="red")
    return code


def _usage_problem(error: Any) -> str:
    """Return typer's message in the style of our own."""
    if type(error) is typer.BadParameter and not (error.param or error.param_hint):
        return str(error.message)
    text = str(error.format_message())
    context = None if type(error) is typer.BadParameter else getattr(error, "ctx", None)
    see = "" if context is None else f" (see {context.command_path} --help)"
    return f"{text[:1].lower()}{text[1:].removesuffix('.')}{see}"
