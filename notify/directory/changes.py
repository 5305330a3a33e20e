"""Events on the topic ``services``: the changes that the directory announces, and the alarm of a sweep.

The Lua scripts of the directory publish them. A script gets a template from here and replaces each ``@name@`` with the value
that Redis holds at that instant. Watches, the request client and the loss watcher of a worker read the events.
"""

from typing import Any, Final

import msgspec

from notify.values import Json

__all__ = ["Alarm", "ServiceChange", "alarm_template", "change_template", "read_change", "read_logged_change"]

ALARM: Final = "alarm"


class Alarm(msgspec.Struct, frozen=True):
    """The announcement that very many services fell silent at once. Their withdrawals are held for one ttl.

    Args:
        silent: how many services are suspected.
        of: how many services are registered.
    """

    silent: int
    of: int


class ServiceChange(msgspec.Struct, frozen=True):
    """One announced change of one registration.

    Args:
        change: ``available``, ``suspect``, ``recovered``, ``joined``, ``left`` or ``withdrawn``.
        service: the name of the service.
        incarnation: the number of the registration; -1 (no registration has it) if the event was published by hand without one.
        provides, groups: the capabilities and groups of the service after the change.
        reason, why: as in `Withdrawn`; empty unless the change is a withdrawal.
        became: the name and the incarnation under which a standby goes on that was promoted, ``<name>#<incarnation>``; else empty.
    """

    change: str
    service: str
    incarnation: int = -1
    provides: list[Any] = []  # of str, unless the description in Redis was corrupted by hand
    groups: list[Any] = []
    reason: str = ""
    why: str = ""
    became: str = ""

    @property
    def capabilities(self) -> list[str]:
        """The capabilities, without entries that are not text."""
        return [capability for capability in self.provides if isinstance(capability, str)]


class _ChangeEvent(msgspec.Struct, frozen=True):
    """An event of which only the contents are decoded."""

    contents: dict[str, Any]


_CHANGE_EVENT_DECODER: Final = msgspec.json.Decoder(_ChangeEvent)


def read_change(contents: object) -> ServiceChange | Alarm | None:
    """Return the change or the alarm in the contents of an event; ``None`` for other contents, which were published by hand."""
    if not isinstance(contents, dict):
        return None
    try:
        if contents.get("change") == ALARM:
            return msgspec.convert(contents, Alarm)
        return msgspec.convert(contents, ServiceChange)
    except msgspec.ValidationError:
        return None


def read_logged_change(event: bytes) -> ServiceChange | Alarm | None:
    """Return the change or the alarm in an event from the log of the topic (JSON); ``None`` if the event is neither."""
    try:
        return read_change(_CHANGE_EVENT_DECODER.decode(event).contents)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def change_template(change: str, **more: Json) -> Json:
    """Return the contents of an announcement, with placeholders that the script fills in.

    Args:
        change: as in `ServiceChange`.
        more: further fields: ``became``, ``reason`` and ``why`` of a withdrawal.
    """
    placeholders: dict[str, Json] = {name: f"@{name}@" for name in ("service", "incarnation", "provides", "groups")}
    return {"change": change, **placeholders, **more}


def alarm_template() -> Json:
    """Return the contents of an alarm, with placeholders that the script fills in."""
    return {"change": ALARM, "silent": "@silent@", "of": "@of@"}
