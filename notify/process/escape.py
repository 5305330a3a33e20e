"""What may go to a terminal or into a log: data of anybody, without a character that would be obeyed there or forge a line."""

import json

__all__ = ["printable", "printable_json"]


def printable(text: str, *, keep: str = "") -> str:
    """Return a text in which all but printable characters are escaped: controls (ESC, line breaks, tabs, C1), bidi controls, surrogates.

    Args:
        text: the text.
        keep: characters that stay, although they are not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_json(text: str) -> str:
    """Return JSON in one line, in which those characters are escaped as JSON does it: it stays the same JSON."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
