"""Errors that nobody catches, warnings, and errors of logging itself: they quote anybody's data, and Python would print it as it is."""

import logging
import sys
import threading
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from notify.process.escape import printable
from notify.process.outages import OutageLines

__all__ = ["SafeHandler", "escape_uncaught"]

MOST_CHARS: Final = 1_000
"""Of a record that cannot be formatted so much is shown."""

log = logging.getLogger(__name__)


class SafeHandler(logging.StreamHandler[Any]):
    """Writes records to stderr, and of an outage of the server one line at each end.

    A record that cannot be formatted is reported there as well, escaped.

    Args:
        stream: stderr.
        has_all: whether to write what each part of the process says about an outage.
    """

    def __init__(self, stream: Any, *, has_all: bool = False) -> None:
        super().__init__(stream)
        self._outages = None if has_all else OutageLines()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        line = record if self._outages is None else self._outages.line(record)
        if line is not None:
            super().emit(line)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is that of logging
        """Report a record that cannot be formatted."""
        error = sys.exc_info()[1]
        if logging.raiseExceptions and error is not None and not isinstance(error, OSError):
            _print(f"a record of {record.name} ({record.pathname}:{record.lineno}) cannot be logged: {_quoted(record)}", error)


def escape_uncaught() -> None:
    """Report errors of threads, errors that end the process, and warnings, escaped. A hook that somebody else has set is left alone."""
    if sys.excepthook is sys.__excepthook__:  # in a command typer has set it, and the command tells of its errors itself
        sys.excepthook = _process_ended
    if threading.excepthook is not threading.__excepthook__:
        return  # a program that looks after such errors, as a runner of tests does
    threading.excepthook = _thread_ended
    sys.unraisablehook = _not_raised
    logging.captureWarnings(True)


def _thread_ended(args: Any) -> None:
    if args.exc_type is SystemExit:
        return
    name = "a thread" if args.thread is None else f"thread {args.thread.name}"
    log.error("%s ended by an error that nobody caught", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _process_ended(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    _print("", error)


def _not_raised(args: Any) -> None:
    _print(f"{args.err_msg or 'Exception ignored in'}: {args.object!r}", args.exc_value)


def _quoted(record: logging.LogRecord) -> str:
    try:
        return f"{record.msg!r} with {record.args!r}"[:MOST_CHARS]
    except Exception as exc:  # whatever a value raises that is to be shown
        return f"{type(exc).__name__} in one of its values"


def _print(head: str, error: BaseException | None) -> None:
    lines = [head] if head else []
    if error is not None:
        lines += "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    with suppress(OSError, ValueError, AttributeError):  # stderr is gone
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))
