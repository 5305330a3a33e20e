"""The kinds of nodes that read and write files and recordings."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from notify.flows.files.framed import Framed
from notify.flows.files.kind import Above0, Kind, Name, Site
from notify.flows.lines import read_lines, write_lines
from notify.flows.recording import Compression, Header, record_to, replay_from

__all__ = ["Read", "Record", "Replay", "Write"]


class Read(Framed, frozen=True):
    """source: the lines of a file, from its start to its end"""

    path: Name

    def work(self, site: Site) -> Any:
        return read_lines(self.path, framing=self.framing_made(partial="keep"))


class Write(Framed, frozen=True):
    """sink: writes each item to a file, one a line"""

    path: Name
    append: bool = True

    def work(self, site: Site) -> Any:
        return write_lines(self.path, append=self.append, framing=self.framing_made())


class Record(Kind, frozen=True):
    """sink: writes events and gaps to a recording, a folder, which it continues if there is one"""

    folder: Name
    compression: Compression = "gzip"

    def work(self, site: Site) -> Any:
        return record_to(self.folder, header=Header(started=datetime.now(UTC), compression=self.compression))


class Replay(Kind, frozen=True):
    """source: the events of recordings again, at their pace, at a multiple of it, or with max as fast as possible"""

    folders: Annotated[list[Name], msgspec.Meta(min_length=1)]
    speed: Above0 | Literal["max"] = 1.0
    loop: bool = False
    topics: list[Name] | None = None
    since: datetime | None = None
    until: datetime | None = None
    on_damage: Literal["raise", "skip"] = "raise"

    def work(self, site: Site) -> Any:
        return replay_from(
            *self.folders,
            speed=None if self.speed == "max" else float(self.speed),
            loop=self.loop,
            topics=self.topics,
            since=self.since,
            until=self.until,
            on_damage=self.on_damage,
        )
