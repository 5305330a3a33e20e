"""Why a job failed: the reason, in a line, from the text of an error; and the part of that text that is kept."""

import re
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["MAX_REASON_CHARS", "MAX_TRACEBACK_CHARS", "kept_traceback", "reason_in", "short_reason"]

MAX_REASON_CHARS: Final = 1000
"""The longest reason; a longer one is cut."""
MAX_TRACEBACK_CHARS: Final = 65_536
"""The longest text of an error that is kept with a job; of a longer one the middle parts are left out."""
_HEADERS: Final = {"Traceback (most recent call last):": "", "  + Exception Group Traceback (most recent call last):": "  | "}
"""The line with which an error begins, and what stands before each further line of it: an exception group has a bar there."""
_CHAINED: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_FRAME: Final = '  File "'
_TYPE_ALONE: Final = re.compile(r"[^\W\d][\w.<>]*: ?")


class _Error(NamedTuple):
    """Where the last error of a text stands.

    Args:
        begin: the number of the first line of its traceback.
        message: the number of the line with its type.
        bar: what stands before each of its lines.
    """

    begin: int
    message: int
    bar: str


def reason_in(error: str) -> str:
    """Return the type of an error and the first line of its message, at most `MAX_REASON_CHARS` characters.

    Args:
        error: a traceback as Python formats it, also of chained errors and exception groups: the last error counts. Or a reason in words,
            of which the first line counts.
    """
    lines = _storable(error).split("\n")
    found = _last_error(lines)
    if found is None:
        return short_reason(next((line.strip() for line in lines if line.strip()), ""))
    texts = [line.removeprefix(found.bar).strip() for line in lines[found.message :]]
    first = texts[0] if texts else ""
    if _TYPE_ALONE.fullmatch(first):  # the message begins with empty lines
        first = f"{first.rstrip(': ')}: {next(filter(None, texts[1:]), '')}".removesuffix(": ")
    return short_reason(first)


def short_reason(reason: str) -> str:
    """Return a reason as it is stored and shown: of a long one the beginning, and without surrogates, which cannot be stored."""
    text = _storable(reason)
    return text if len(text) <= MAX_REASON_CHARS else text[: MAX_REASON_CHARS - 3] + "..."


def kept_traceback(error: str, *, max_chars: int = MAX_TRACEBACK_CHARS) -> str:
    """Return the text of an error as it is stored, at most ``max_chars`` characters and a few notes: its `reason_in` stays the same.

    Args:
        error: the traceback, or a reason in words.
        max_chars: half of it is for the message of the last error and what follows, a quarter for its frames, and a quarter for the
            errors before it. Of each part, the middle is left out.
    """
    text = _storable(error)
    if len(text) <= max_chars:
        return text
    lines = text.split("\n")
    found = _last_error(lines)
    if found is None:
        return _cut(text, max_chars, "")
    parts = lines[: found.begin], lines[found.begin : found.message], lines[found.message :]
    before, frames, message = ("\n".join(part) for part in parts)
    kept = (
        *([_cut(before, max_chars // 4, "")] if parts[0] else ()),
        *([_cut(frames, max_chars // 4, f"{found.bar}  ")] if parts[1] else ()),
        _cut(message, max_chars // 2, found.bar),
    )
    return "\n".join(kept)


def _last_error(lines: list[str]) -> _Error | None:
    """Return where the last error stands; ``None`` if the text is no traceback. A message may quote tracebacks, or look like a frame."""
    begin = _last_header(lines)
    if begin is None:  # its beginning was cut, perhaps
        frames = [number for number, line in enumerate(lines) if line.startswith(_FRAME)]
        if not frames:
            return None
        begin, bar = frames[-1], ""
    else:
        bar = _HEADERS[lines[begin].rstrip()]
    for number in range(begin + 1, len(lines)):
        line = lines[number]
        if line.startswith(bar) and line[len(bar) :].strip() and not line[len(bar) :].startswith("  "):
            return _Error(begin, number, bar)
    return None


def _last_header(lines: list[str]) -> int | None:
    """Return the number of the line with which the last error begins: the first one of the text, or one behind the words of a chain."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    found = filled[0] if filled and lines[filled[0]].rstrip() in _HEADERS else None
    for before, number in pairwise(filled):
        if lines[number].rstrip() in _HEADERS and lines[before].strip() in _CHAINED:
            found = number
    return found


def _cut(text: str, most: int, begin: str) -> str:
    left_out = len(text) - most
    if left_out <= 0:
        return text
    half = most // 2
    return f"{text[:half]}\n{begin}[... {left_out:,} characters left out ...]\n{begin}{text[-half:]}"


def _storable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
