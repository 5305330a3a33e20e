"""The limit on the size of a job's call. It is checked before the call is decoded."""

import zlib

from notify.values import size_problem

__all__ = ["first_bytes", "too_large", "unpacked"]


def too_large(what: str, size: int, max_bytes: int) -> str:
    """Return the message for a call of ``size`` bytes, with the remedy."""
    return f"{size_problem(what, size, max_bytes)}, here and at the workers"


def first_bytes(data: bytes) -> bytes:
    """Return the first bytes of a call, compressed or not, without unpacking the rest."""
    try:
        return zlib.decompressobj().decompress(data, 2)
    except zlib.error:
        return data[:2]


def unpacked(data: bytes, *, max_bytes: int) -> bytes:
    """Return a call as JSON; RQ's own queues store it compressed.

    Args:
        data: the call, compressed or not.
        max_bytes: limit on the result; without it, a few bytes could unpack into all of the memory.

    Raises:
        ValueError: the result would be above the limit.
    """
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(data, max_bytes + 1)
    except zlib.error:
        return data
    if len(found) > max_bytes:
        raise ValueError(f"its call unpacks into more than the limit of {max_bytes} bytes")
    return found if unpacking.eof else data
