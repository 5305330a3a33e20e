"""Events on the topic ``services``: the changes that the directory announces, and the alarm of a sweep.

The Lua scripts of the directory publish them. A script gets a template from here and replaces each ``@name@`` with the value
that Redis holds at that instant. Watches, the request client and the loss watcher of a worker read the events.
"""

from typing import Any, Final

import msgspec

from notify.events import Json

__all__ = ["Alarm", "ServiceChange", "alarm_template", "change_template", "read_change", "read_logged_change"]

ALARM: Final = "alarm"


class Alarm(msgspec.Struct, frozen=True):
    """Very many services fell silent at once: ``silent`` of ``of``. Their withdrawals are held for one ttl."""

    silent: int
    of: int


class ServiceChange(msgspec.Struct, frozen=True):
    """One announced change of one registration.

    Args:
        change: ``available``, ``suspect``, ``recovered``, ``joined``, ``left`` or ``withdrawn``.
        service: the name of the service.
        incarnation: the registration; -1, which no registration has, if an event published by hand names none.
        provides, groups: the capabilities and groups of the service at that instant.
        reason, why: of a withdrawal only, as in `Withdrawn`.
    """

    change: str
    service: str
    incarnation: int = -1
    provides: list[Any] = []  # of str, unless the description in Redis was spoilt by hand
    groups: list[Any] = []
    reason: str = ""
    why: str = ""

    @property
    def capabilities(self) -> list[str]:
        """The capabilities, without entries that are not text."""
        return [capability for capability in self.provides if isinstance(capability, str)]


class _ChangeEvent(msgspec.Struct, frozen=True):
    contents: ServiceChange


_CHANGE_EVENT_DECODER: Final = msgspec.json.Decoder(_ChangeEvent)


def read_change(contents: object) -> ServiceChange | Alarm | None:
    """Return the change or the alarm in the contents of an event; ``None`` for anything else, published by hand."""
    if not isinstance(contents, dict):
        return None
    try:
        if contents.get("change") == ALARM:
            return msgspec.convert(contents, Alarm)
        return msgspec.convert(contents, ServiceChange)
    except msgspec.ValidationError:
        return None


def read_logged_change(event: bytes) -> ServiceChange | None:
    """Return the change in an event as the log of the topic holds it (JSON); ``None`` for an alarm or anything else."""
    try:
        return _CHANGE_EVENT_DECODER.decode(event).contents
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def change_template(change: str, **more: Json) -> Json:
    """Return the contents of an announcement, to be completed by a script; ``more`` are ``reason`` and ``why``."""
    places: dict[str, Json] = {name: f"@{name}@" for name in ("service", "incarnation", "provides", "groups")}
    return {"change": change, **places, **more}


def alarm_template() -> Json:
    """Return the contents of an alarm, to be completed by a script."""
    return {"change": ALARM, "silent": "@silent@", "of": "@of@"}
