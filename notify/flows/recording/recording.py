"""One recording that is read: its header, its blocks, and the lines in them, in the order of time."""

import os
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from notify.errors import SettingsError
from notify.flows.recording.compression import Codec, codec_of_file
from notify.flows.recording.folder import Block, data_files, path_of, read_header, read_index, storage_error
from notify.flows.recording.line import Line, decode_lines
from notify.flows.recording.salvage import Damage, Found, find_blocks

__all__ = ["Recording"]


class Recording:
    """The folder of a recording, as it is at this moment. A process may still be writing to it.

    Args:
        folder: the folder.

    Raises:
        NoRecordingError: the folder does not exist, or holds no recording.
        DamagedRecordingError: the header cannot be read.
        RecordingStorageError: a file cannot be read.
        SettingsError: the compression is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = path_of(folder)
        self.header = read_header(self.folder)
        self.damages: list[Damage] = []
        """What is found to be wrong before a block is read."""
        self.size = 0
        """The size of the files, in bytes."""
        indexed: dict[str, list[Block]] = {}
        for block in read_index(self.folder):
            indexed.setdefault(block.file, []).append(block)
        self.blocks: list[Block] = []
        """The blocks, in the order in which they were written."""
        for path in data_files(self.folder):
            self._add_file(path, indexed.pop(path.name, []))
        for name, blocks in indexed.items():
            lost = sum(block.events + block.gaps for block in blocks)
            self.damages.append(Damage(str(self.folder / name), 0, 0, "the file is missing", lost))

    def lines(self, chosen: Callable[[Block], bool], told: Callable[[Damage], object]) -> Iterator[Line]:
        """Yield the lines of some blocks in the order of ``at``.

        Args:
            chosen: returns whether to read a block.
            told: called with what cannot be read.
        """
        blocks = self.blocks
        places = sorted((place for place, block in enumerate(blocks) if chosen(block)), key=lambda place: blocks[place].first)
        parts: dict[int, Sequence[Line]] = {}
        for place in places:
            yield from _taken(parts, blocks[place].first)
            lines = self._load(blocks[place], told)
            parts[place] = lines if blocks[place].is_sorted else sorted(lines, key=_at)
        yield from _taken(parts, None)

    def _add_file(self, path: Path, indexed: Sequence[Block]) -> None:
        """Add the blocks of a file: those of the index, and those that are only in the file."""
        size = path.stat().st_size
        self.size += size
        self.blocks += indexed
        codec = _codec_of(path)
        for start, end in _holes(indexed, size):
            for found in find_blocks(path, _read(path, start, end - start), start, codec):
                if isinstance(found, Found):
                    self.blocks.append(found.block)
                else:  # only the end of a file can be missing
                    self.damages.append(found if end == size else msgspec.structs.replace(found, is_truncated=False))

    def _load(self, block: Block, told: Callable[[Damage], object]) -> Sequence[Line]:
        """Return the lines of a block, and tell if they are not all of them."""
        path = self.folder / block.file
        data = _read(path, block.offset, block.size)
        codec = _codec_of(path)
        if len(data) == block.size and zlib.crc32(data) == block.crc:
            text = _text_of(data, codec)
            lines = None if text is None else decode_lines(text)
            if lines is not None:
                return lines
        whole: list[Line] = []
        is_truncated = len(data) < block.size
        if is_truncated or zlib.crc32(data) == block.crc:  # a part of a block that a crash has left has no other end
            for found in find_blocks(path, data, block.offset, codec):
                whole += found.lines if isinstance(found, Found) else ()
        lost = block.events + block.gaps - len(whole)
        if lost:
            reason = "the file is cut short" if is_truncated else "the checksum of a block is wrong"
            told(Damage(str(path), block.offset, block.size, reason, lost, is_truncated))
        return whole


def _holes(indexed: Sequence[Block], size: int) -> Iterator[tuple[int, int]]:
    """Yield the begin and the end of each part of a file that the index does not know."""
    start = 0
    for block in sorted(indexed, key=lambda block: block.offset):
        if block.offset > start:
            yield start, min(block.offset, size)
        start = max(start, block.offset + block.size)
    if size > start:
        yield start, size


def _taken(parts: dict[int, Sequence[Line]], before: int | None) -> list[Line]:
    """Take the lines with a lower ``at`` out of parts, place of the block → its lines in the order of ``at``.

    Lines of the same instant stay in the order in which they were written.
    """
    taken: list[Line] = []
    several = len(parts) > 1
    for place in sorted(parts):
        lines = parts[place]
        cut = len(lines) if before is None or (lines and lines[-1].at < before) else bisect_left(lines, before, key=_at)
        taken += lines[:cut]
        if cut == len(lines):
            del parts[place]
        else:
            parts[place] = lines[cut:]
    if several:
        taken.sort(key=_at)
    return taken


def _text_of(data: bytes, codec: Codec) -> bytes | None:
    """Return the text of a whole block; ``None`` if it cannot be decompressed."""
    if codec.decompressor is None:
        return data
    decompressor = codec.decompressor()
    try:
        text = decompressor.decompress(data)
    except codec.errors:
        return None
    return text if decompressor.eof else None


def _codec_of(path: Path) -> Codec:
    codec = codec_of_file(path.name)
    if codec is None:
        raise SettingsError(f"{path} is no file of a recording: take it out of the index")
    return codec


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as exc:
        raise storage_error(exc, f"{path} cannot be read") from exc


def _at(line: Line) -> int:
    return line.at
