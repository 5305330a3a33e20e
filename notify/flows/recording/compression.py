"""Compression of the blocks of a recording: none, gzip, or zstd with the extra of that name.

Each block is a whole gzip member or zstd frame, so ``zcat`` and ``zstdcat`` read a file, and each block can be read alone.
"""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from notify.errors import SettingsError

__all__ = ["Codec", "Compression", "Decompressor", "codec_named", "codec_of_file"]

Compression: TypeAlias = Literal["none", "gzip", "zstd"]
"""How a recording is compressed."""
GZIP: Final = 31
"""The value of ``wbits`` that means gzip, with its header and checksum."""
LEVEL: Final = 3
"""Of gzip and zstd: a higher one takes more time than a fast recording has."""


class Decompressor(Protocol):
    """Decompresses one block, in steps."""

    @property
    def eof(self) -> bool:
        """Whether the end of the block was reached."""

    @property
    def unused_data(self) -> bytes:
        """What came after the end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return what is in the next bytes. Raises ``Codec.errors``."""


class Codec(msgspec.Struct, frozen=True):
    """One of the compressions.

    Args:
        name: its name.
        suffix: how a file ends.
        magic: the bytes with which a block begins; empty if there are none.
        compress: returns the block for a text.
        decompressor: returns an object that decompresses a block; ``None`` if blocks are not compressed.
        errors: what it raises at damaged data.
    """

    name: Compression
    suffix: str
    magic: bytes
    compress: Callable[[bytes], bytes]
    decompressor: Callable[[], Decompressor] | None
    errors: tuple[type[Exception], ...] = ()


def codec_named(name: str) -> Codec:
    """Return the codec with that name.

    Raises:
        SettingsError: there is none, or its package is not installed.
    """
    if name == "none":
        return Codec("none", ".jsonl", b"", bytes, None)
    if name == "gzip":
        return Codec("gzip", ".jsonl.gz", b"\x1f\x8b\x08", _gzip, lambda: zlib.decompressobj(GZIP), (zlib.error,))
    if name == "zstd":
        zstd = _zstandard()
        return Codec(
            "zstd",
            ".jsonl.zst",
            b"\x28\xb5\x2f\xfd",
            lambda text: bytes(zstd.ZstdCompressor(level=LEVEL, write_checksum=True).compress(text)),
            lambda: _decompressor(zstd),
            (zstd.ZstdError,),
        )
    raise SettingsError(f"the compression {name!r} is unknown: choose {', '.join(get_args(Compression))}")


def codec_of_file(name: str) -> Codec | None:
    """Return the codec of a file by its name; ``None`` if it is no file of a recording. Raises `SettingsError` as `codec_named`."""
    for suffix, codec in ((".jsonl", "none"), (".jsonl.gz", "gzip"), (".jsonl.zst", "zstd")):
        if name.endswith(suffix) and name.removesuffix(suffix).isdecimal():
            return codec_named(codec)
    return None


def _gzip(text: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return compressor.compress(text) + compressor.flush()


def _decompressor(zstd: Any) -> Decompressor:
    made: Decompressor = zstd.ZstdDecompressor().decompressobj()
    return made


def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ImportError as exc:
        raise SettingsError("zstd needs the package zstandard: install notify-workers[zstd], or use gzip") from exc
