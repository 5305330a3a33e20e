"""The error that ends a command: one line on stderr, and an exit code. Loaded when there is an error, and not before."""

from typing import Final

from cli.output.printer import Output, OutputClosedError
from notify import (
    EmptySubscriptionError,
    InvalidPositionError,
    InvalidServiceError,
    InvalidTopicError,
    NotifyError,
    ServerError,
    SettingsError,
)
from workers import JobArgumentsError, JobDefinitionError, ModuleLoadError

__all__ = ["print_failure"]

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
    if isinstance(error, NotifyError):
        return _print(str(error), 2 if isinstance(error, USAGE_ERRORS) else 3 if isinstance(error, ServerError) else 1)
    if isinstance(error, UnicodeError):
        return _print(f"an argument or a setting is not UTF-8: {error}", 2)
    if isinstance(error, OSError):
        return _print(f"the operating system reported an error: {error}", 1)
    return None


def _print(message: str, code: int) -> int:
    Output(as_json=False).talk(f"notify: {message}", style="red")
    return code
