"""The lines of the keys in a TOML text, for messages about them: `tomllib` does not tell them."""

import re
import tomllib
from typing import Final, TypeAlias

__all__ = ["Key", "KeyLines"]

Key: TypeAlias = tuple[str, ...]
"""The path of a key, from the outermost table."""
HEADER: Final = re.compile(r"\[\[?(?P<key>.*?)\]\]?\s*(#.*)?$")
KEY: Final = re.compile(r"""(?P<key>(?:[^"'=\n]|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')+)=""")
VALUE: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""+|\'\'\'.*?\'\'\'+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}\n]|[^"'#\[\]{}\n]+''', re.DOTALL
)


class KeyLines:
    """Finds the line of a key.

    Args:
        text: a TOML text that `tomllib` can read.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Key, int] = {}
        self._read(text.replace("\r\n", "\n"))

    def find(self, *key: str) -> tuple[Key, int]:
        """Return the longest part of a path that stands in the text, and its line, from 1; the line is 1 if no part does."""
        while key and key not in self._lines:
            key = key[:-1]
        return key, self._lines.get(key, 1)

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    def _read(self, text: str) -> None:
        table: Key = ()
        at = 0
        while at < len(text):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            line = text[at:end].strip()
            start = at + len(text[at:end]) - len(text[at:end].lstrip())
            number = text.count("\n", 0, at) + 1
            if line.startswith("[") and (header := HEADER.match(line)):
                table = _parts(header["key"])
                self._note(table, number)
            elif line and not line.startswith("#") and (found := KEY.match(text, start)):
                self._note((*table, *_parts(found["key"])), number)
                end = _end_of_value(text, found.end())
            at = end + 1

    def _note(self, key: Key, number: int) -> None:
        for length in range(1, len(key) + 1):
            self._lines.setdefault(key[:length], number)


def _end_of_value(text: str, at: int) -> int:
    """Return where the line ends on which a value ends."""
    depth = 0
    while at < len(text) and (part := VALUE.match(text, at)):
        if part[0] == "\n" and not depth:
            return at
        depth += (part[0] in ("[", "{")) - (part[0] in ("]", "}"))
        at = part.end()
    return len(text)


def _parts(key: str) -> Key:
    """Return the parts of a dotted key, whose parts may be quoted."""
    parts: list[str] = []
    found = tomllib.loads(f"{key.strip()} = 0")
    while isinstance(found, dict):
        part = next(iter(found))
        parts.append(part)
        found = found[part]
    return tuple(parts)
