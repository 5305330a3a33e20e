"""What a subscriber's connection is called in ``CLIENT LIST``: who it is, and to what it listens.

``notify:recorder|notify:event:temperature|notify:event:storage_*``. The server drops the name with the connection, however its
owner ended: there is no better witness of who listens.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from notify.events.topic import Glob, is_pattern
from notify.server import PREFIX

__all__ = ["Interest", "interest_of", "name_with_interest"]

MARK: Final = "|"
PLAIN: Final = "!\"#$&'()*+,/:;<>?@[\\]^`{}"
"""What may stand in a name as it is, beside letters, digits and "_.-~"."""


class Interest(msgspec.Struct, frozen=True):
    """A connection that listens: the name of its owner, and the channels and patterns it subscribed to."""

    name: str
    channels: tuple[str, ...]

    def hears(self, channel: str) -> bool:
        return any(Glob(c).matches(channel) if is_pattern(c) else c == channel for c in self.channels)


def name_with_interest(name: str, channels: Iterable[str]) -> str:
    """Return the name under which a connection that subscribes to ``channels`` is opened."""
    return MARK.join(quote(part, safe=PLAIN) for part in (name, *channels))


def interest_of(client: dict[str, Any]) -> Interest | None:
    """Return what a row of ``CLIENT LIST`` tells; ``None`` for connections that are not ours."""
    name, *channels = str(client["name"]).split(MARK)
    if not channels or not name.startswith(PREFIX):
        return None
    return Interest(unquote(name.removeprefix(PREFIX)), tuple(map(unquote, channels)))
