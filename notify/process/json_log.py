"""The log as JSON: one object in each line, with the fields that ``extra`` added."""

import logging
import traceback
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

import msgspec

from notify.process.escape import printable_json

__all__ = ["JsonFormatter", "write_line"]

MAX_CHARS: Final = 65_536
"""The longest text of a field; of a longer one the beginning and the end are shown."""
STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "exc_info", "color_message"}
"""The attributes of a record that are no ``extra``."""
_PLAIN: Final = frozenset({int, bool, type(None)})


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Its fields are ``time`` (UTC, ISO 8601), ``level``, ``logger`` and ``message``; then those of ``extra``; and ``error`` with ``type``,
    ``message`` and ``traceback`` if the record has an exception. A value that JSON cannot hold is its ``repr``.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _shortened(record.getMessage()),
        }
        fields |= {name: _value(value) for name, value in vars(record).items() if name not in STANDARD and name not in fields}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = "".join(traceback.format_exception(error))
            fields["error"] = {"type": type(error).__name__, "message": _shortened(str(error)), "traceback": _shortened(text)}
        elif record.exc_text:  # the record was formatted in another process
            fields["error"] = {"traceback": _shortened(record.exc_text)}
        if record.stack_info:
            fields["stack"] = _shortened(record.stack_info)
        return printable_json(msgspec.json.encode(fields).decode())


def write_line(message: str, *, level: int = logging.INFO) -> bool:
    """Write a message of a program into its log, whatever the level of the log, if the log is JSON. Returns whether it is."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            known = {"name": "notify", "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
            handler.handle(logging.makeLogRecord(known))
            return True
    return False


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _shortened(value)
    if isinstance(value, float):  # of any class, such as that of numpy; JSON has neither NaN nor infinity
        return float(value) if isfinite(value) else repr(float(value))
    if type(value) in _PLAIN:
        return value
    if isinstance(value, int):
        return int(value)
    try:
        msgspec.json.encode(value)
    except Exception:  # whatever an attribute of anybody's class raises
        return _shortened(_repr(value))
    return value


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as exc:  # as above
        return f"({type(exc).__name__} in its repr)"


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair cannot be JSON
    left_out = len(text) - MAX_CHARS
    half = MAX_CHARS // 2
    return text if left_out <= 0 else f"{text[:half]} [... {left_out:,} characters left out ...] {text[-half:]}"
