"""The limit on the size of an encoded value."""

from notify.errors import PayloadTooLargeError

__all__ = ["check_size", "size_problem"]


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
