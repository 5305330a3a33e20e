"""Outages in a log for people: one line when the server goes away and one when it is back, however many parts of a process wait for it."""

import copy
import logging
import time
import weakref
from typing import Final

__all__ = ["OutageLines", "outage_over", "outage_seen"]

LATE_S: Final = 5.0
"""A part may notice an outage when it is over: its last command timed out. So long after the end that is no new outage."""
_PART: Final = "notify_outage_of"
_IS_OVER: Final = "notify_outage_is_over"


def outage_seen(part: object) -> dict[str, object]:
    """Return the ``extra`` of the record with which a part of the process says that the server is away; its last argument is the error."""
    return {_PART: part, _IS_OVER: False}


def outage_over(part: object) -> dict[str, object]:
    """Return the ``extra`` of the record with which it says that the server is back."""
    return {_PART: part, _IS_OVER: True}


class OutageLines:
    """Takes the records of the parts of a process, and gives those that are to be written."""

    def __init__(self) -> None:
        self._parts: weakref.WeakSet[object] = weakref.WeakSet()
        """Those that have noticed the present outage, or the last one."""
        self._began_at: float | None = None
        self._ended_at = 0.0

    def line(self, record: logging.LogRecord) -> logging.LogRecord | None:
        """Return the record to write; ``None`` if the log has a line about this outage already."""
        part = getattr(record, _PART, None)
        if part is None:
            return record
        if getattr(record, _IS_OVER):
            return self._over(record)
        is_late = self._began_at is None and part not in self._parts and time.monotonic() - self._ended_at < LATE_S
        if self._began_at is None and not is_late:
            self._parts.clear()
        self._parts.add(part)
        if self._began_at is not None or is_late:
            return None
        self._began_at = time.monotonic()
        problem = record.args[-1] if isinstance(record.args, tuple) and record.args else record.getMessage()
        return _plain(record, "the server is away, and all that needs it waits: %s", problem)

    def _over(self, record: logging.LogRecord) -> logging.LogRecord | None:
        if self._began_at is None:
            return None
        self._ended_at = time.monotonic()
        lasted_s, self._began_at = self._ended_at - self._began_at, None
        return _plain(record, "the server is back after %.1f s", lasted_s)


def _plain(record: logging.LogRecord, message: str, argument: object) -> logging.LogRecord:
    """Return the record of a part with a message about the whole process, under the name of the package."""
    plain = copy.copy(record)
    plain.name, plain.msg, plain.args = "notify", message, (argument,)
    return plain
