"""Framings by lines: texts, and JSON lines."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from notify.errors import FrameError
from notify.flows.framing.content import NonUtf8, as_bytes, as_json, from_json, half, one_of, text_of
from notify.flows.framing.protocol import MAX_FRAME_BYTES, SHOWN_BYTES, Decoder, Framing
from notify.flows.items import Failed

__all__ = ["JsonFraming", "LineFraming"]


class LineFraming(Framing):
    """A frame is a line, without its line break; ``\\r\\n`` is taken as well. Items are texts.

    An item that is sent may be a text, bytes, or a value, which is sent as JSON.

    Args:
        max_bytes: the longest line.
        non_utf8: what is done with bytes that are no UTF-8.
        partial: what is done with half a line at the end of a stream: ``refuse`` it, since it may be cut short, or ``keep`` it.
    """

    def __init__(
        self, max_bytes: int = MAX_FRAME_BYTES, *, non_utf8: NonUtf8 = "replace", partial: Literal["refuse", "keep"] = "refuse"
    ) -> None:
        super().__init__(max_bytes)
        self.non_utf8: NonUtf8 = one_of("non_utf8", non_utf8, "replace", "refuse", "base64")
        self.partial = one_of("partial", partial, "refuse", "keep")

    def decoder(self, *, resumes: bool = False) -> Decoder:
        return LineDecoder(self.max_bytes, self._items, keeps_partial=self.partial == "keep", resumes=resumes)

    def frame(self, item: Any) -> bytes:
        line = as_bytes(item, self.non_utf8)
        if b"\n" in line:
            raise FrameError(f"{line[:SHOWN_BYTES]!r} has a line break, and would be two lines: format it first, or use framing='json'")
        return line + b"\n"

    def notice(self, kind: str, text: str) -> bytes:
        return f"# {kind}: {text}\n".encode()

    def _items(self, lines: bytes) -> list[Any]:
        try:
            text = lines.decode()
        except UnicodeDecodeError:
            return [text_of(line.removesuffix(b"\r"), self.non_utf8) for line in lines.split(b"\n")]
        found = text.split("\n")
        return [line.removesuffix("\r") for line in found] if "\r" in text else found


class JsonFraming(Framing):
    """A frame is a line with a JSON value, which is the item (JSON lines). Blank lines are left out, and ``null`` is refused.

    Args:
        max_bytes: the longest line.
    """

    def decoder(self, *, resumes: bool = False) -> Decoder:
        return LineDecoder(self.max_bytes, _values, resumes=resumes)

    def frame(self, item: Any) -> bytes:
        return as_json(item) + b"\n"

    def notice(self, kind: str, text: str) -> bytes:
        return msgspec.json.encode({kind: text}) + b"\n"


def _values(lines: bytes) -> list[Any]:
    return [from_json(line) for line in lines.split(b"\n") if line.strip()]


class LineDecoder(Decoder):
    """Cuts a stream into lines.

    Args:
        max_bytes: the longest line.
        items: returns the items of several lines, which come without the last line break.
        keeps_partial: whether half a line at the end is an item.
        resumes: whether the stream is read on behind a line that is too long.
    """

    def __init__(self, max_bytes: int, items: Callable[[bytes], list[Any]], *, keeps_partial: bool = False, resumes: bool = False) -> None:
        self._max, self._items, self._keeps_partial, self._resumes = max_bytes, items, keeps_partial, resumes
        self._tail = bytearray()
        self._skips = False

    def feed(self, data: bytes) -> list[Any]:
        if self.problem is not None:
            return []
        if self._skips:
            _, end, data = data.partition(b"\n")
            if not end:
                return []
            self._skips = False
        end_of_lines = data.rfind(b"\n") + 1
        if not end_of_lines:
            self._tail += data
            return self._checked_tail()
        lines = bytes(self._tail) + data[: end_of_lines - 1] if self._tail else data[: end_of_lines - 1]
        self._tail = bytearray(data[end_of_lines:])
        # One byte more than the limit may be \r.
        if len(lines) > self._max and max(map(len, each := lines.split(b"\n"))) > self._max + 1:
            return self._with_long_ones(each)
        found = self._items(lines)
        return found + self._checked_tail() if len(self._tail) > self._max + 1 else found

    def end(self) -> list[Any]:
        tail, self._tail = bytes(self._tail), bytearray()
        if not tail or self.problem is not None:
            return []
        return self._items(tail) if self._keeps_partial else [half(tail)]

    def _with_long_ones(self, lines: list[bytes]) -> list[Any]:
        found = []
        for line in lines:
            if len(line) <= self._max + 1:
                found += self._items(line)
                continue
            found.append(self._too_long(line))
            if self.problem is not None:
                self._tail = bytearray()
                return found
        return found + self._checked_tail()

    def _checked_tail(self) -> list[Any]:
        """Return the failure of half a line that is too long already."""
        if len(self._tail) <= self._max + 1:
            return []
        tail, self._tail, self._skips = self._tail, bytearray(), True
        return [self._too_long(tail)]

    def _too_long(self, line: bytes | bytearray) -> Failed:
        problem = FrameError(f"a line of more than {self._max} bytes: send shorter lines, or give the framing more max_bytes")
        if not self._resumes:
            self.problem = problem
        return Failed(bytes(line[:SHOWN_BYTES]), problem)
