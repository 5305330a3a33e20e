"""`record_to`: a sink of a flow that writes its events to a recording."""

import os
from datetime import UTC, datetime
from typing import Any, Final

from notify.errors import ContentsError
from notify.events import Event, Gap
from notify.flows.items import Mark
from notify.flows.protocol import Context, Sink
from notify.flows.recording.folder import Header
from notify.flows.recording.writer import RecordingWriter

__all__ = ["record_to"]

FLUSH_S: Final = 1.0
"""Seconds after which an event is flushed at the latest."""


def record_to(folder: str | os.PathLike[str], *, header: Header | None = None) -> Sink:
    """Return a sink that writes events and gaps to a recording, which it continues if there is one.

    Behind ``subscribe_to(bus, topic, position="name")`` the position is stored when the events before it are in the file, and not before:
    the recording is complete after ``kill -9``, the last events perhaps twice.

    Args:
        folder: the folder of the recording; it is created.
        header: the header of a new recording, for example with another compression.

    Raises:
        RecordingExistsError, NoRecordingError, RecordingStorageError, SettingsError: as `RecordingWriter`; by `Flow.start`.
    """
    return RecordTo(folder, header)


class RecordTo(Sink):
    """The sink that `record_to` returns."""

    def __init__(self, folder: str | os.PathLike[str], header: Header | None) -> None:
        self._folder, self._header = folder, header
        self._writer: RecordingWriter | None = None

    def open(self, context: Context) -> None:
        header = self._header or Header(started=datetime.now(UTC))
        self._writer = RecordingWriter(self._folder, header=header, append=True)

    def take(self, item: Any) -> None:
        if not isinstance(item, Event | Gap):
            raise ContentsError(f"a recording takes events, and this is a {type(item).__name__}: leave out the stage that makes it one")
        if self._writer is not None:
            self._writer.write(item)

    def take_gap(self, gap: Gap) -> None:
        self.take(gap)

    def mark(self, mark: Mark) -> Mark:
        self.end()
        return mark

    def due_at(self) -> float | None:
        since = None if self._writer is None else self._writer.waiting_since
        return None if since is None else since + FLUSH_S

    def tick(self) -> None:
        self.end()

    def end(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
