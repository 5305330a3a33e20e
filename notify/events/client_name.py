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

__all__ = ["ListeningClient", "listening_client", "name_with_channels"]

MARK: Final = "|"
PLAIN: Final = "!\"#$&'()*+,/:;<>?@[\\]^`{}"
"""What may stand in a name as it is, beside letters, digits and "_.-~"."""


class ListeningClient(msgspec.Struct, frozen=True):
    """A connection that listens: the name of its owner, and the channels and patterns it subscribed to."""

    name: str
    channels: tuple[str, ...]

    def hears(self, channel: str) -> bool:
        return any(Glob(c).matches(channel) if is_pattern(c) else c == channel for c in self.channels)


def name_with_channels(name: str, channels: Iterable[str]) -> str:
    """Return the name under which a connection that subscribes to ``channels`` is opened."""
    return MARK.join(quote(part, safe=PLAIN) for part in (name, *channels))


def listening_client(client: dict[str, Any]) -> ListeningClient | None:
    """Return what a row of ``CLIENT LIST`` tells; ``None`` for connections that are not ours."""
    name, *channels = str(client["name"]).split(MARK)
    if not channels or not name.startswith(PREFIX):
        return None
    return ListeningClient(unquote(name.removeprefix(PREFIX)), tuple(map(unquote, channels)))
