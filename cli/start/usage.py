"""Wrong usage, told in the style of all other errors, but without their imports."""

import sys
from typing import Any, Final

import typer

__all__ = ["UsageError", "tell", "usage_problem"]

UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""Typer's error for wrong usage, which has no public name; `typer.BadParameter` is one."""


def tell(message: str) -> None:
    """Print an error on stderr, in one line, as `Output.talk` does."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in message)
    sys.stderr.write(f"notify: {text}\n")
    sys.stderr.flush()


def usage_problem(error: Any) -> str | None:
    """Return the message of a `UsageError`; ``None`` if it is no error: there are no arguments, and typer shows the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    if type(error) is typer.BadParameter and not (error.param or error.param_hint):
        return str(error.message)
    text = str(error.format_message()).replace(": Value error, ", ": ", 1)  # what Pydantic puts before the message of a `ValueError`
    context = None if type(error) is typer.BadParameter else getattr(error, "ctx", None)
    see = "" if context is None else f" (see {context.command_path} --help)"
    return f"{text[:1].lower()}{text[1:].removesuffix('.')}{see}"
