"""The error that ends a command: one line on stderr, and an exit code. Loaded when there is an error, and not before."""

import traceback
from typing import Final

from cli.output.printer import Output, OutputClosedError
from notify import (
    EmptySubscriptionError,
    FlowFileError,
    InvalidPositionError,
    InvalidServiceError,
    InvalidTopicError,
    NotifyError,
    ServerError,
    SettingsError,
    WiringError,
)
from workers import JobArgumentsError, JobDefinitionError, ModuleLoadError, WorkersFailedError

__all__ = ["print_failure", "print_fault"]

USAGE_ERRORS: Final = (
    SettingsError,
    InvalidTopicError,
    InvalidPositionError,
    EmptySubscriptionError,
    FlowFileError,
    InvalidServiceError,
    JobArgumentsError,
    JobDefinitionError,
    ModuleLoadError,
    FlowFileError,
    WiringError,
)


def print_failure(error: Exception) -> int | None:
    """Print an error that a command tells the user. Returns the exit code; ``None`` if the error is none of these."""
    if isinstance(error, OutputClosedError | BrokenPipeError):
        return 0
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
