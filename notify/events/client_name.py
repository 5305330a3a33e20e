"""The connection name of a subscriber, which contains the name of the subscriber, its channels and its patterns.

An example: ``notify:recorder|notify:event:temperature|notify:event:storage_*``. Redis forgets the name when the connection
closes, so ``CLIENT LIST`` is a reliable list of subscribers, also after kill -9.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from notify.events.topic import Glob, is_pattern
from notify.server import PREFIX

__all__ = ["ListeningClient", "listening_client", "name_with_channels"]

SEPARATOR: Final = "|"
UNQUOTED: Final = "!\"#$&'()*+,/:;<>?@[\\]^`{}"
"""Characters that are not percent-encoded in a name, besides letters, digits and "_.-~"."""


class ListeningClient(msgspec.Struct, frozen=True):
    """A connection of a subscriber: the name of the subscriber, and its channels and patterns."""

    name: str
    channels: tuple[str, ...]

    def hears(self, channel: str) -> bool:
        """Return whether messages on the channel reach this connection."""
        return any(Glob(c).matches(channel) if is_pattern(c) else c == channel for c in self.channels)


def name_with_channels(name: str, channels: Iterable[str]) -> str:
    """Return the connection name of the subscriber ``name`` with its channels and patterns."""
    return SEPARATOR.join(quote(part, safe=UNQUOTED) for part in (name, *channels))


def listening_client(client: dict[str, Any]) -> ListeningClient | None:
    """Return the subscriber in a row of ``CLIENT LIST``, or ``None`` if the row is not a subscriber of Notify."""
    name, *channels = str(client["name"]).split(SEPARATOR)
    if not channels or not name.startswith(PREFIX):
        return None
    return ListeningClient(unquote(name.removeprefix(PREFIX)), tuple(map(unquote, channels)))
