"""Finds blocks that the index does not know: those that were written just before a crash, or all of them if the index is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from notify.flows.recording.compression import Codec
from notify.flows.recording.folder import Block, block_of
from notify.flows.recording.line import Line, decode_line

__all__ = ["Damage", "Found", "find_blocks", "whole_lines"]

STEP: Final = 64 * 1024
"""Bytes that are handed to a decompressor at once, and the size of a block of a file that is not compressed."""


class Damage(msgspec.Struct, frozen=True):
    """A part of a recording that cannot be read.

    Args:
        file: the path of the file.
        offset, size: where the part is, in bytes.
        reason: what is wrong.
        lost: how many events and gaps were in it; ``None`` if that is unknown.
        is_truncated: whether the file is only too short: what it has is whole, and what was not flushed before a crash is missing.
    """

    file: str
    offset: int
    size: int
    reason: str
    lost: int | None = None
    is_truncated: bool = False

    def __str__(self) -> str:
        lost = "" if self.lost is None else f", {self.lost} events are missing"
        return f"{self.file} at byte {self.offset}: {self.reason}{lost}"


class Found(msgspec.Struct, frozen=True):
    """Lines that were found in a file. They are a block, which may be cut short, for the index.

    Args:
        block: the line for the index.
        lines: its lines.
    """

    block: Block
    lines: list[Line]


def find_blocks(path: Path, data: bytes, start: int, codec: Codec) -> Iterator[Found | Damage]:
    """Yield what is in a part of a file, from the byte ``start`` of the file on, in order.

    Args:
        path: the path of the file, for its name in blocks and damages.
        data: the bytes of the file from ``start`` to its end.
        start: the place of ``data`` in the file.
        codec: the compression of the file.
    """
    offset = 0
    while offset < len(data):
        text, size, problem = _next_text(data, offset, codec)
        lines, rest, is_damaged = whole_lines(text)
        if lines:
            yield Found(block_of(path.name, start + offset, data[offset : offset + size], lines), lines)
        if is_damaged:
            yield Damage(str(path), start + offset, size, "a line is no event")
        if problem == "" and rest:
            problem = "cut"
        if problem == "cut":
            yield Damage(str(path), start + offset, size, "the file ends within a block, as after a crash", is_truncated=True)
        elif problem:
            yield Damage(str(path), start + offset, size, problem)
        offset += size


def whole_lines(text: bytes) -> tuple[list[Line], bytes, bool]:
    """Return the lines of a text, what comes after its last line break, and whether a line in between cannot be read."""
    *texts, rest = text.split(b"\n")
    lines = [line for line in map(decode_line, texts) if line is not None]
    return lines, rest, len(lines) < len(texts)


def _next_text(data: bytes, offset: int, codec: Codec) -> tuple[bytes, int, str]:
    """Return the text of the block at an offset, how many bytes it has, and what is wrong: ``cut`` if its end is missing."""
    if codec.decompressor is None:
        end = data.rfind(b"\n", offset, offset + STEP) + 1 or data.find(b"\n", offset + STEP) + 1 or len(data)
        return data[offset:end], end - offset, ""
    if not data.startswith(codec.magic[: len(data) - offset], offset):
        return b"", _to_next(data, offset, codec), "it is no block"
    decompressor, text = codec.decompressor(), []
    for place in range(offset, len(data), STEP):
        try:
            text.append(decompressor.decompress(data[place : place + STEP]))
        except codec.errors as exc:
            return b"", _to_next(data, offset, codec), f"it cannot be decompressed ({exc})"
        if decompressor.eof:
            end = min(place + STEP, len(data)) - len(decompressor.unused_data)
            return b"".join(text), end - offset, ""
    return b"".join(text), len(data) - offset, "cut"


def _to_next(data: bytes, offset: int, codec: Codec) -> int:
    """Return how many bytes there are to what may be the next block."""
    found = data.find(codec.magic, offset + 1)
    return (len(data) if found < 0 else found) - offset
