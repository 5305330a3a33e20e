"""The fields of a count in Redis: words with spaces between, the same as ``parts/count.lua`` writes.

A field begins with what is counted, such as ``job finished``. Names follow, each as one word, and last the bucket of a histogram, such as
``work<=0.05``. In a name, white space, control characters and ``%`` are written as ``%20``; an empty name is ``%``.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

__all__ = ["BUCKET", "OTHER", "Words", "field_of", "parts_of", "word", "words_of"]

Words: TypeAlias = tuple[str, ...]
"""A field as its words, with names as they are."""

BUCKET: Final = "<="
"""Stands in the last word of a field between the name of a histogram and the edge of a bucket."""
OTHER: Final = "(other)"
"""The name under which is counted what has no room for a count of its own."""
MOST_BYTES: Final = 200
"""Longer names are cut off."""
READ_AT_ONCE: Final = 8_192
"""Fields that a process keeps as words."""

_QUOTED: Final = re.compile(rb"[\s%\x00-\x1f\x7f]")
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")


def word(name: str) -> str:
    """Return a name as one word of a field."""
    raw = name.encode(errors="replace")[:MOST_BYTES]
    return _QUOTED.sub(lambda found: b"%%%02X" % found[0][0], raw).decode(errors="replace") or "%"


def field_of(what: str, *names: str, bucket: str = "") -> str:
    """Return a field.

    Args:
        what: what is counted, in two words.
        names: the names.
        bucket: the last word of the field of a bucket, or empty.
    """
    return " ".join(filter(None, (what, *map(word, names), bucket)))


@lru_cache(READ_AT_ONCE)
def words_of(field: bytes) -> Words:
    """Return the words of a field; anything else that somebody wrote gives words that nobody looks for."""
    return tuple(_name(each) for each in field.split(b" "))


def parts_of(words: Words) -> Sequence[Words]:
    """Return what a field counts: of ``job finished+started q f work<=1 wait<=2``, which saves a command, each of the two."""
    kind, what, *rest = words if len(words) > 1 else (*words, "")
    if "+" not in what:
        return (words,)
    all_what = what.split("+")
    names, details = rest[: -len(all_what)], rest[-len(all_what) :]
    return [(kind, each, *names, detail) for each, detail in zip(all_what, details, strict=False)]


def _name(raw: bytes) -> str:
    return "" if raw == b"%" else _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), raw).decode(errors="replace")
