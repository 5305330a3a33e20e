"""Text that can be stored: Python's text can also hold halves of surrogate pairs, which UTF-8 cannot."""

__all__ = ["counted", "is_text"]


def is_text(value: object) -> bool:
    """Return whether a value is a str that UTF-8 can encode, so that it can be part of a key."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 event``, ``2 events``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
