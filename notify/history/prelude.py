"""What stands before each script that counts: keys, lifetimes and the buckets."""

from functools import cache
from typing import Final

from notify.keys import Keys
from notify.server import quoted
from notify.settings import Settings

__all__ = ["MOST_FIELDS", "history_prelude"]

MOST_FIELDS: Final = 1_000
"""The counts of a minute or of an hour that have names of their own; others are counted under ``(other)``."""


@cache
def history_prelude(settings: Settings, keys: Keys) -> str:
    """Return the Lua code that ``parts/first.lua`` expects before it."""
    if settings.history == "off":
        return "local HISTORY_MINUTE = false\n"
    lines = [
        f"local HISTORY_MINUTE, HISTORY_HOUR = {quoted(keys.history('m', ''))}, {quoted(keys.history('h', ''))}",
        f"local HISTORY_OPEN, HISTORY_FIELDS = {quoted(keys.history_open)}, {MOST_FIELDS}",
        f"local HISTORY_MINUTE_MS, HISTORY_HOUR_MS = {_ms(settings.history_minutes_s)}, {_ms(settings.history_hours_s)}",
    ]
    return "\n".join([*lines, ""])


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
