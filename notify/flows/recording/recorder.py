"""`Recorder`: a subscriber whose events a thread writes to a recording."""

import logging
import os
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.errors import ClosedError, ContentsError, NotifyError, RecordingError, RecordingStorageError
from notify.events import Event, EventBus, Gap, Subscriber, check_topics, flat_topics
from notify.flows.recording.compression import Compression
from notify.flows.recording.folder import Header
from notify.flows.recording.line import line_of, micros_of
from notify.flows.recording.reader import Reader
from notify.flows.recording.writer import MAX_FILE_BYTES, RecordingWriter
from notify.settings import positive

__all__ = ["Recorder", "RecorderCounters"]

WAIT_S: Final = 0.25
"""The longest wait for an event; a recorder is stopped, and flushes, at most so much later."""
DRAIN_S: Final = 2.0
"""How long a recorder that is stopped may write what was published before."""
MOST_CHECKED: Final = 64
"""After so many events at the latest a recorder looks whether it is to flush."""

log = logging.getLogger(__name__)


class RecorderCounters(msgspec.Struct, frozen=True):
    """Numbers of a recorder: events and gaps that were received, those of them that were flushed, and events that cannot be
    decoded or written, each topic or event of which is logged."""

    events: int
    gaps: int
    flushed: int
    refused: int
    bytes_written: int


class Recorder:
    """Records the events of topics in a folder. Use it as a context manager, or call `start` and `stop`.

    What was flushed can be read after the process was killed, also compressed. Where events were lost for good, a gap is recorded.

    Args:
        bus: the bus.
        topics: names and glob patterns, as for `Bus.subscribe`.
        folder: the folder of the recording; it is created.
        since: where to begin, as for `Bus.subscribe`; by default with new events. Of retained events the place in time is the begin.
        compression: ``gzip``, ``zstd`` (with the extra ``zstd``), or ``none``.
        max_file_bytes: the size at which another file is begun.
        flush_s: seconds after which an event is flushed at the latest.
        append: continue the recording in the folder, after the last event that is in it: complete, as far as the logs go back. If there is
            no recording yet, a new one is begun.
        max_events: the recorder ends after so many events; by default it goes on until it is stopped.

    Raises:
        EmptySubscriptionError, InvalidTopicError: the topics cannot be used.
        SettingsError: another argument cannot be used.
    """

    def __init__(
        self,
        bus: EventBus,
        *topics: str | Collection[str],
        folder: str | os.PathLike[str],
        since: Any = None,
        compression: Compression = "gzip",
        max_file_bytes: int = MAX_FILE_BYTES,
        flush_s: float = 1.0,
        append: bool = False,
        max_events: int | None = None,
    ) -> None:
        self._bus = bus
        self.topics = check_topics(flat_topics(*topics))
        self.folder = folder
        self._since, self._compression, self._append = since, compression, append
        self._max_file_bytes, self._flush_s = max_file_bytes, positive(flush_s, "flush_s")
        self._max_events = max_events
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._subscriber: Subscriber | None = None
        self._writer: RecordingWriter | None = None
        self._error: NotifyError | None = None
        self._events = self._gaps = self._refused = 0
        self._ahead = self._earliest = self._latest = 0

    @property
    def counters(self) -> RecorderCounters:
        """The numbers so far, since `start`."""
        writer = self._writer
        flushed, size = (writer.events + writer.gaps, writer.bytes_written) if writer is not None else (0, 0)
        skipped = self._subscriber.skipped if self._subscriber is not None else 0
        return RecorderCounters(self._events, self._gaps, flushed, self._refused + skipped, size)

    @property
    def is_running(self) -> bool:
        """Whether it records; ``False`` also after an error, which `stop` raises."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> bool:
        """Begin to record. When it returns, the subscription is live. Returns ``False`` if it records already.

        Raises:
            RecordingExistsError: the folder holds a recording already, and ``append`` was not asked for.
            NoRecordingError: the folder holds something else.
            RecordingError: the recording to continue is of other topics or of another namespace.
            RecordingStorageError: the folder cannot be written.
            ServerError: the server does not answer, or refuses.
        """
        if self._thread is not None:
            return False
        self._events = self._gaps = self._refused = 0
        client = self._bus.redis
        with client.translating("reading the time of the server"):
            seconds, micros = client.time()
        now = int(seconds) * 1_000_000 + int(micros)
        self._ahead = now - micros_of(datetime.now(UTC))
        header = Header(started=datetime.now(UTC), topics=self.topics, namespace=client.settings.namespace, compression=self._compression)
        found = self._recorded() if self._append else None
        since = self._since if found is None else {topic: found.get(topic, "start") for topic in {*found, *self.topics}}
        self._earliest, self._latest = now if since is None else 0, 0
        self._subscriber = self._bus.subscribe(*self.topics, since=since)
        try:
            header = msgspec.structs.replace(header, positions=self._subscriber.positions)
            self._writer = RecordingWriter(self.folder, header=header, max_file_bytes=self._max_file_bytes, append=self._append)
        except BaseException:
            self._subscriber.close()
            raise
        self._stopping.clear()
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(self._subscriber, self._writer), name="notify-recorder", daemon=True)
        self._thread.start()
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the recorder ends by itself: after ``max_events``, or by an error. Returns whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_running

    def stop(self) -> bool:
        """Write what was published before, and close the recording. Returns ``False`` if it does not record.

        Raises:
            RecordingStorageError: a part could not be written; the message says how many events that are.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        self._stopping.set()
        thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recorder of {', '.join(self.topics)} in {self.folder}>"

    def _recorded(self) -> dict[str, str] | None:
        """Return the positions of the recording to continue; ``None`` if there is none yet."""
        try:
            reader = Reader(self.folder, on_damage="skip")
        except LookupError:  # NoRecordingError: the writer says whether a new one can be begun there
            return None
        (header,) = reader.headers
        if set(header.topics) != set(self.topics) or header.namespace != self._bus.settings.namespace:
            raise RecordingError(
                f"{self.folder} is a recording of {', '.join(header.topics)} in the namespace {header.namespace!r}: "
                "continue it with the same topics and namespace, or choose another folder"
            )
        return reader.positions()

    def _run(self, subscriber: Subscriber, writer: RecordingWriter) -> None:
        try:
            with subscriber:
                while not self._stopping.is_set() and self._record(subscriber, writer, WAIT_S):
                    pass
                deadline = time.monotonic() + DRAIN_S
                while time.monotonic() < deadline and self._record(subscriber, writer, 0.0) > 1:
                    pass
            writer.close()
        except RecordingStorageError as exc:
            self._end_by(RecordingStorageError(f"{exc}, and go on with append=True (--append): the recording is whole up to there"))
        except NotifyError as exc:
            self._end_by(exc)
        finally:
            self._give_up(writer)

    def _record(self, subscriber: Subscriber, writer: RecordingWriter, timeout_s: float) -> int:
        """Write what has come. Returns 0 if the subscriber is closed, 1 if nothing has come, and more otherwise."""
        got = 1
        try:
            item = subscriber.get(min(timeout_s, self._flush_s))
            while item is not None:
                self._write(item, writer)
                got += 1
                if self._events == self._max_events:
                    self._stopping.set()
                    subscriber.close()  # there is nothing more to take
                    break
                item = subscriber.get(0.0) if got < MOST_CHECKED else None
        except ClosedError:
            self._stopping.set()  # the bus was closed
            got = 0
        writer.flush(older_s=self._flush_s)
        return got

    def _write(self, item: Event | Gap, writer: RecordingWriter) -> None:
        if isinstance(item, Gap):
            self._gaps += 1
        else:
            self._events += 1
        try:
            writer.write_line(line_of(item, self._at(item)))
        except ContentsError as exc:
            self._refused += 1
            log.error("an event on %r cannot be recorded: %s", item.topic, exc)
            writer.write_line(line_of(Gap(item.topic, "unrecordable", None, None), self._at(item)))

    def _at(self, item: Event | Gap) -> int:
        """Return the place in time of an item, by the clock of the server, in microseconds."""
        stamp = item.last or item.first if isinstance(item, Gap) else item.id
        ms = (stamp or "").partition("-")[0]
        if ms.isdecimal():
            at = max(int(ms) * 1000, self._earliest)
            self._latest = max(self._latest, at)
            return at
        # By the clock of this machine, which is known with an error: what was received later must not come before.
        received = item.received if isinstance(item, Event) else None
        return max(micros_of(received or datetime.now(UTC)) + self._ahead, self._earliest, self._latest)

    def _end_by(self, error: NotifyError) -> None:
        self._error = error
        log.error("the recorder of %s ends: %s", ", ".join(self.topics), error)

    def _give_up(self, writer: RecordingWriter) -> None:
        """Close the writer after an error; what waits in it is in no file."""
        try:
            writer.close()
        except NotifyError as exc:
            self._error = self._error or exc
