"""Writes a recording: lines gather to blocks, blocks go to files, and each block gets a line in the index."""

import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from notify.errors import ClosedError, NoRecordingError, RecordingExistsError, SettingsError
from notify.events import Event, Gap
from notify.flows.recording.compression import codec_named
from notify.flows.recording.folder import HEADER, INDEX, Block, Header, block_of, data_files, path_of, read_header, storage_error
from notify.flows.recording.line import Line, encode_line, line_of, micros_of

__all__ = ["BLOCK_BYTES", "MAX_FILE_BYTES", "RecordingWriter"]

BLOCK_BYTES: Final = 128 * 1024
"""A block ends with the line that reaches this size. A replay reads a block in about a millisecond."""
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""A file ends with the block that reaches this size, by default."""


class RecordingWriter:
    """Writes events and gaps to the folder of a recording. `flush` makes what was written survive the death of the process.

    Args:
        folder: the folder; it is created if it does not exist, for this user only.
        header: the header of a new recording; by default one without topics.
        max_file_bytes: the size at which another file is begun.
        append: continue the recording in the folder, if there is one, with its header.

    Raises:
        RecordingExistsError: the folder holds a recording already, and ``append`` was not asked for; or another process writes to it.
        NoRecordingError: the folder holds something else.
        RecordingStorageError: the folder cannot be written.
        SettingsError: the compression is not installed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, header: Header | None = None, max_file_bytes: int = MAX_FILE_BYTES, append: bool = False
    ) -> None:
        if isinstance(max_file_bytes, bool) or not isinstance(max_file_bytes, int) or max_file_bytes < 1:
            raise SettingsError(f"max_file_bytes is {max_file_bytes!r}: give a whole number above 0")
        self.folder = path_of(folder)
        self._max_file_bytes = max_file_bytes
        self._lines: list[Line] = []
        self._texts: list[bytes] = []
        self._size = 0
        self._oldest_at: float | None = None
        self._file = _File(-1, "", 0)
        self.events = self.gaps = self.bytes_written = 0
        """Events and gaps in the blocks that were written, and the size of these blocks."""
        try:
            self._lock = self._open(header or Header(started=datetime.now(UTC)), append=append)
        except OSError as exc:
            raise storage_error(exc, f"the recording {self.folder} cannot be written") from exc

    @property
    def waiting(self) -> int:
        """How many events and gaps are not written yet."""
        return len(self._lines)

    @property
    def waiting_since(self) -> float | None:
        """When, by ``time.monotonic``, the first of them came; ``None`` if there is none."""
        return self._oldest_at

    @property
    def is_closed(self) -> bool:
        """Whether it is closed: nothing can be written any more."""
        return self._lock < 0

    def write(self, item: Event | Gap, *, at: datetime | None = None) -> None:
        """Add an event or a gap.

        Args:
            item: the event or the gap.
            at: its place in time; by default when it was received, else when it happened; for a gap now.

        Raises:
            ClosedError: the writer is closed.
            ContentsError: the contents of the event cannot be written as JSON. It is not in the recording.
            RecordingStorageError: a block cannot be written; see `flush`.
        """
        time_of_item = datetime.now(UTC) if isinstance(item, Gap) else item.received or item.time
        self.write_line(line_of(item, micros_of(time_of_item if at is None else at)))

    def write_line(self, line: Line) -> None:
        """Add a line; errors as for `write`."""
        if self._lock < 0:
            raise ClosedError(f"{self!r} is closed: open another one with append=True")
        text = encode_line(line)
        self._lines.append(line)
        self._texts.append(text)
        self._size += len(text)
        if self._oldest_at is None:
            self._oldest_at = time.monotonic()
        if self._size >= BLOCK_BYTES:
            self.flush()

    def flush(self, *, older_s: float = 0.0) -> None:
        """Write all lines to the file, if the first of them waits for ``older_s`` seconds.

        Raises:
            RecordingStorageError: the disk is full, for example. The recording holds everything that was flushed before; the lines that
                wait are written by the next call that succeeds.
        """
        if self._oldest_at is None or time.monotonic() - self._oldest_at < older_s:
            return
        try:
            self._write_block()
        except OSError as exc:
            raise storage_error(exc, f"{len(self._lines)} events cannot be written to {self.folder / self._file.name}") from exc
        self._lines, self._texts, self._size, self._oldest_at = [], [], 0, None

    def close(self) -> bool:
        """Flush, and close the recording, also if flushing fails. Returns ``False`` if it is closed already. Raises as `flush`."""
        if self._lock < 0:
            return False
        try:
            self.flush()
            self._close_file()
            os.fsync(self._index.descriptor)
        finally:
            for descriptor in (self._file.descriptor, self._index.descriptor, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._lock, self._file = -1, _File(-1, "", 0)
        return True

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Writer of the recording {self.folder}>"

    def _open(self, header: Header, *, append: bool) -> int:
        """Create the folder, lock and write its header, and open the index. Returns the descriptor of the lock."""
        codec_named(header.compression)
        path = self.folder / HEADER
        is_new = not path.exists() or path.stat().st_size == 0  # it is empty if a process was killed that wrote it
        if not is_new:
            if not append:
                raise RecordingExistsError(
                    f"{self.folder} holds a recording already: choose another folder, or append to it (append=True, --append)"
                )
            header = read_header(self.folder)
        elif self.folder.exists() and (not self.folder.is_dir() or any(found != path for found in self.folder.iterdir())):
            raise NoRecordingError(f"{self.folder} holds something else than a recording: choose an empty folder, or a new one")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(lock, self.folder)
            if is_new:
                _write(lock, msgspec.json.format(msgspec.json.encode(header)) + b"\n")
            self.header = header
            self._codec = codec_named(header.compression)
            self._number = max((int(path.name.partition(".")[0]) for path in data_files(self.folder)), default=0)
            self._index = self._open_index()
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _open_index(self) -> "_File":
        descriptor = os.open(self.folder / INDEX, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        index = _File(descriptor, INDEX, os.fstat(descriptor).st_size)
        if index.size and os.pread(descriptor, 1, index.size - 1) != b"\n":
            index.append(b"\n")  # a crash has cut its last line short
        return index

    def _write_block(self) -> None:
        if self._file.size >= self._max_file_bytes:
            self._close_file()
        if self._file.descriptor < 0:
            self._number += 1
            name = f"{self._number:07d}{self._codec.suffix}"
            descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._file = _File(descriptor, name, 0)
        data = self._codec.compress(b"".join(self._texts))
        block = block_of(self._file.name, self._file.size, data, self._lines)
        self._file.append(data)
        try:
            self._index.append(msgspec.json.encode(block) + b"\n")
        except OSError:
            self._file.shorten(block.offset)
            raise
        self._count(block)

    def _count(self, block: Block) -> None:
        self.events += block.events
        self.gaps += block.gaps
        self.bytes_written += block.size

    def _close_file(self) -> None:
        if self._file.descriptor >= 0:
            os.fsync(self._file.descriptor)
            os.close(self._file.descriptor)
            self._file = _File(-1, "", 0)


class _File:
    """A file to which whole parts are appended, or nothing."""

    def __init__(self, descriptor: int, name: str, size: int) -> None:
        self.descriptor, self.name, self.size = descriptor, name, size

    def append(self, data: bytes) -> None:
        try:
            _write(self.descriptor, data)
        except OSError:
            self.shorten(self.size)
            raise
        self.size += len(data)

    def shorten(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self.size = size


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise RecordingExistsError(f"another process writes to the recording {folder}: choose another folder") from exc
