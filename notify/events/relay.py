"""What a receiving process is told on stdin, and tells on stdout: one line of JSON each."""

from typing import IO

import msgspec

from notify.events.event import Event, Gap, Wire, event_of
from notify.settings import Settings

__all__ = ["ReceiverOptions", "Relayed", "read_relayed"]


class ReceiverOptions(msgspec.Struct, frozen=True):
    """The first line on stdin. ``since`` is where to go on, topic → id; ``None`` starts with what comes. ``name`` is who listens."""

    settings: Settings
    topics: tuple[str, ...]
    since: dict[str, str] | None
    name: str


class Relayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line on stdout: an event or a gap, and where the subscriber stands; the first one tells that it is live, or why not."""

    event: Wire | None = None
    gap: Gap | None = None
    problem: str | None = None
    positions: dict[str, str] = {}

    @property
    def item(self) -> Event | Gap | None:
        return self.gap if self.event is None else event_of(self.event)


def read_relayed(stream: IO[bytes]) -> Relayed | None:
    """Return the next line of a receiver, ``None`` at its end."""
    line = stream.readline()
    return msgspec.json.decode(line, type=Relayed) if line.endswith(b"\n") else None
