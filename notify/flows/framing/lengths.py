"""The framing by lengths: each frame comes behind the number of its bytes."""

from collections.abc import Callable
from typing import Any

import msgspec

from notify.errors import FrameError
from notify.flows.framing.content import NonUtf8, as_bytes, half, one_of, text_of
from notify.flows.framing.protocol import MAX_FRAME_BYTES, SHOWN_BYTES, Decoder, Framing
from notify.flows.items import Failed

__all__ = ["LengthFraming"]


class LengthFraming(Framing):
    """A frame is its length, in big-endian order, and as many bytes.

    Args:
        max_bytes: the longest frame, without its length.
        size: how many bytes the length has: 1, 2, 4 or 8.
        text: whether items are texts; otherwise they are bytes.
        non_utf8: what is done with bytes that are no UTF-8, if items are texts.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES, *, size: int = 4, text: bool = True, non_utf8: NonUtf8 = "replace") -> None:
        super().__init__(max_bytes)
        self.size: int = one_of("size", size, 1, 2, 4, 8)
        self.overhead = self.size
        self._non_utf8: NonUtf8 = one_of("non_utf8", non_utf8, "replace", "refuse", "base64")
        self._text = text

    def decoder(self, *, resumes: bool = False) -> Decoder:
        return LengthDecoder(self.size, self.max_bytes, (lambda frame: text_of(frame, self._non_utf8)) if self._text else bytes)

    def frame(self, item: Any) -> bytes:
        body = as_bytes(item, self._non_utf8)
        if len(body) >= 1 << 8 * self.size:
            raise FrameError(f"the length of a frame of {len(body)} bytes has no room in {self.size} bytes: give the framing a larger size")
        return len(body).to_bytes(self.size) + body

    def notice(self, kind: str, text: str) -> bytes:
        return self.frame(msgspec.json.encode({kind: text})[: (1 << 8 * self.size) - 1])


class LengthDecoder(Decoder):
    """Cuts a stream into frames with their lengths before them.

    Args:
        size: how many bytes a length has.
        max_bytes: the longest frame.
        item: returns the item for the bytes of a frame.
    """

    def __init__(self, size: int, max_bytes: int, item: Callable[[bytes], Any]) -> None:
        self._size, self._max, self._item = size, max_bytes, item
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        found: list[Any] = []
        if self.problem is not None:
            return found
        buffer, size, start = self._buffer, self._size, 0
        buffer += data
        while len(buffer) - start >= size:
            length = int.from_bytes(buffer[start : start + size])
            if length > self._max:
                self.problem = FrameError(
                    f"a frame of {length} bytes, more than {self._max}: send shorter frames, or give the framing more max_bytes"
                )
                found.append(Failed(bytes(buffer[start : start + SHOWN_BYTES]), self.problem))
                start = len(buffer)
                break
            if len(buffer) - start - size < length:
                break
            found.append(self._item(bytes(buffer[start + size : start + size + length])))
            start += size + length
        del buffer[:start]
        return found

    def end(self) -> list[Any]:
        rest, self._buffer = bytes(self._buffer), bytearray()
        return [half(rest)] if rest and self.problem is None else []
