"""The limit on the size of an encoded value, and batches of values that are limited in size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from notify.errors import PayloadTooLargeError

__all__ = ["check_size", "in_batches", "size_problem"]

T = TypeVar("T")


def size_problem(what: str, size: int, max_bytes: int) -> str:
    """Return the error message for a ``what`` that has ``size`` bytes, more than ``max_bytes``."""
    return (
        f"{what} has {size} bytes, the limit is {max_bytes}: "
        "send less (or a reference to it), or raise max_payload_bytes ($NOTIFY_MAX_PAYLOAD_BYTES)"
    )


def check_size(body: bytes, *, what: str, max_bytes: int) -> bytes:
    """Return ``body`` if it has at most ``max_bytes`` bytes, else raise `PayloadTooLargeError`; ``what`` is its name in the error."""
    if len(body) > max_bytes:
        raise PayloadTooLargeError(size_problem(what, len(body), max_bytes))
    return body


def in_batches(items: Iterable[T], size_of: Callable[[T], int], *, most: int, max_bytes: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most ``most``, each of which ends with the item that reaches ``max_bytes``.

    Redis serves nobody else while it runs a script, so what one script handles is limited in number and in size.

    Args:
        items: the items; each is taken when its list is made.
        size_of: returns the size of an item in bytes.
        most: the most items of a list.
        max_bytes: the size at which a list ends, in bytes.
    """
    batch: list[T] = []
    size = 0
    for item in items:
        batch.append(item)
        size += size_of(item)
        if len(batch) == most or size >= max_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
