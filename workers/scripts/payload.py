"""How large the call of a job may be: it is looked at before anybody reads it."""

import zlib

from notify.events import size_problem

__all__ = ["too_large", "unpacked"]


def too_large(what: str, size: int, max_bytes: int) -> str:
    """Return what is wrong with a call of that many bytes, and the remedy."""
    return f"{size_problem(what, size, max_bytes)}, here and at the workers"


def unpacked(data: bytes, *, max_bytes: int) -> bytes:
    """Return the call as JSON, which RQ's own queues store compressed.

    Args:
        data: compressed or not.
        max_bytes: how long it may become: a few bytes can be made to unpack into all of the memory.

    Raises:
        ValueError: it becomes longer.
    """
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(data, max_bytes + 1)
    except zlib.error:
        return data
    if len(found) > max_bytes:
        raise ValueError(f"its call unpacks into more than the limit of {max_bytes} bytes")
    return found if unpacking.eof else data
