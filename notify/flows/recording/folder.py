"""The folder of a recording: its header, its index, and its files.

``recording.json`` is the header, ``0000001.jsonl.gz`` and so on are the files, and ``index.jsonl`` has a line for each block of them. The
index is written after the block; whatever a crash leaves out of it is found in the files.
"""

import errno
import os
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from notify.errors import DamagedRecordingError, NoRecordingError, RecordingStorageError, SettingsError
from notify.flows.recording.compression import Compression, codec_of_file
from notify.flows.recording.line import Line

__all__ = [
    "FORMAT",
    "HEADER",
    "INDEX",
    "Block",
    "Header",
    "block_of",
    "data_files",
    "path_of",
    "read_header",
    "read_index",
    "storage_error",
]

HEADER: Final = "recording.json"
INDEX: Final = "index.jsonl"
FORMAT: Final = "notify-recording"
VERSION: Final = 1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a recording. It has no address, user or password of the server.

    Args:
        started: when the recording was begun.
        topics: the topics and patterns.
        namespace: the namespace from which the events come.
        compression: how its files are compressed.
        positions: topic → id of the last event before the recording.
        format, version: what the folder holds.
    """

    started: datetime
    topics: tuple[str, ...] = ()
    namespace: str = ""
    compression: Compression = "gzip"
    positions: dict[str, str] = {}
    format: str = FORMAT
    version: int = VERSION


class Block(msgspec.Struct, frozen=True):
    """A line of the index: lines of a recording that were written at once.

    Args:
        file: the name of the file.
        offset, size: where the block is in the file, in bytes.
        crc: the CRC-32 of these bytes.
        first, last: the least and the greatest ``at`` of its lines.
        is_sorted: whether its lines are in the order of ``at``.
        topics: topic → number of its events, number of its gaps, and the last id that they account for.
    """

    file: str
    offset: int
    size: int
    crc: int
    first: int
    last: int
    is_sorted: bool
    topics: dict[str, tuple[int, int, str | None]]

    @property
    def events(self) -> int:
        """The number of its events."""
        return sum(events for events, _, _ in self.topics.values())

    @property
    def gaps(self) -> int:
        """The number of its gaps."""
        return sum(gaps for _, gaps, _ in self.topics.values())


_INDEX_DECODER: Final = msgspec.json.Decoder(Block)
_HEADER_DECODER: Final = msgspec.json.Decoder(Header)


def block_of(file: str, offset: int, data: bytes, lines: Sequence[Line]) -> Block:
    """Return the line of the index for a block, which has one line at least."""
    topics: dict[str, tuple[int, int, str | None]] = {}
    first = last = lines[0].at
    is_sorted = True
    for line in lines:
        is_sorted, last, first = is_sorted and line.at >= last, max(last, line.at), min(first, line.at)
        events, gaps, position = topics.get(line.topic, (0, 0, None))
        topics[line.topic] = (events + (line.gap is None), gaps + (line.gap is not None), line.position or position)
    return Block(file, offset, len(data), zlib.crc32(data), first, last, is_sorted, topics)


def path_of(folder: str | os.PathLike[str]) -> Path:
    """Return the path of a folder, or raise `SettingsError` if there can be none."""
    path = Path(folder)
    if "\0" in str(path):
        raise SettingsError(f"the folder {str(path)!r} cannot be used: a path has no NUL; give another one")
    return path


def read_header(folder: Path) -> Header:
    """Return the header of a recording.

    Raises:
        NoRecordingError: the folder does not exist, or holds no recording.
        DamagedRecordingError: the header cannot be read, or is of a later version.
    """
    try:
        text = (folder / HEADER).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        found = f"{folder} holds no recording: there is no {HEADER} in it" if folder.is_dir() else f"there is no folder {folder}"
        raise NoRecordingError(f"{found}; give the folder that `notify record --output` or a Recorder has written") from exc
    except OSError as exc:
        raise storage_error(exc, f"the recording {folder} cannot be read") from exc
    try:
        header = _HEADER_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DamagedRecordingError(f"{folder / HEADER} is not the header of a recording: {exc}; restore it from a copy") from exc
    if header.format != FORMAT or header.version > VERSION:
        raise DamagedRecordingError(
            f"{folder / HEADER} is of the format {header.format!r}, version {header.version}, and this is version {VERSION}: "
            "install a later version of notify-workers"
        )
    return header


def read_index(folder: Path) -> list[Block]:
    """Return the lines of the index that can be read. The others are found again in the files."""
    try:
        lines = (folder / INDEX).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise storage_error(exc, f"the recording {folder} cannot be read") from exc
    blocks = []
    for line in lines:
        try:
            blocks.append(_INDEX_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return blocks


def data_files(folder: Path) -> list[Path]:
    """Return the files of a recording, in their order."""
    try:
        return sorted(path for path in folder.iterdir() if codec_of_file(path.name) is not None)
    except OSError as exc:
        raise storage_error(exc, f"the recording {folder} cannot be read") from exc


def storage_error(exc: OSError, what: str) -> RecordingStorageError:
    """Return the error for one of the operating system, with a remedy."""
    remedies = {
        "ENOSPC": "free some space on the disk",
        "EDQUOT": "free some space of your quota",
        "EFBIG": "raise the limit for the size of files, or lower max_file_bytes",
        "EACCES": "choose a folder that you may use",
        "EPERM": "choose a folder that you may use",
        "EROFS": "choose a folder on a disk that is not read-only",
    }
    name = errno.errorcode.get(exc.errno or 0, "")
    return RecordingStorageError(f"{what} ({exc.strerror or exc}): {remedies.get(name, 'check the path and the disk')}")
