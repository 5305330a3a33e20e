"""The log of a process on stderr. What it quotes may come from anybody: nothing in it is obeyed by a terminal, or passes for a record."""

import logging
import sys
from typing import Final

from notify.process.escape import printable
from notify.process.json_log import JsonFormatter
from notify.process.uncaught import SafeHandler, escape_uncaught

__all__ = ["MAX_LOGGED_CHARS", "SafeFormatter", "log_to_stderr"]

MAX_LOGGED_CHARS: Final = 65_536
"""The longest record in a log; of a longer one the beginning and the end are shown."""
_CONTINUED: Final = "    "
"""Before each further line of a record: none of them can pass for the first line of another record."""
_ONE_LINE: Final = ("notify", "workers", "cli")
"""Packages whose messages are one line, so that a line break in one is data. Messages of jobs and libraries may have several."""


class SafeFormatter(logging.Formatter):
    """Escapes control characters and limits the length. Line breaks of messages of others, and of tracebacks, stay."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as it is written."""
        return "\n".join(map(printable, _shortened(super().format(record)).split("\n")))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is that of logging
        """Return the line of a record, without its traceback."""
        name, message = record.name, record.message
        if name.partition(".")[0] in _ONE_LINE:
            record.message = printable(_shortened(message))
        else:
            record.message = _shortened(message).replace("\n", f"\n{_CONTINUED}")
        record.name = printable(name)
        try:
            return super().formatMessage(record)
        finally:
            record.name, record.message = name, message

    def formatException(self, ei: object) -> str:  # noqa: N802  # the name is that of logging
        """Return the traceback of a record, indented."""
        text = super().formatException(ei)  # type: ignore[arg-type]  # handed on as it is
        return _CONTINUED + text.replace("\n", f"\n{_CONTINUED}")


def log_to_stderr(formatter: logging.Formatter, *, level: str | int, context: logging.Filter | None = None) -> None:
    """Send the log of this process to stderr, unless it goes somewhere else already, and with it what Python itself reports there.

    A process that is forked from one which called this calls it again: its own formatter and level take the place of those.

    Args:
        formatter: a `SafeFormatter`, or a `JsonFormatter`.
        level: the lowest level, such as ``INFO``. With ``DEBUG`` each part of the process says when it loses and reaches the server.
        context: adds fields to each record.
    """
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each.formatter, SafeFormatter | JsonFormatter)]:
        root.removeHandler(earlier)
    handler = SafeHandler(sys.stderr, has_all=level in ("DEBUG", logging.DEBUG))
    handler.setFormatter(formatter)
    if context is not None:
        handler.addFilter(context)
    logging.basicConfig(level=level, handlers=[handler])
    escape_uncaught()


def _shortened(text: str) -> str:
    left_out = len(text) - MAX_LOGGED_CHARS
    if left_out <= 0:
        return text
    half = MAX_LOGGED_CHARS // 2
    return f"{text[:half]} [... {left_out:,} characters left out ...] {text[-half:]}"
