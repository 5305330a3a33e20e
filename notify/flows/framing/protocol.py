"""What a framing is: it cuts a stream of bytes into items, and makes items bytes again."""

from abc import ABC, abstractmethod
from typing import Any, Final

from notify.errors import FrameError, WiringError
from notify.events import Event

__all__ = ["MAX_FRAME_BYTES", "SHOWN_BYTES", "Decoder", "Framing"]

MAX_FRAME_BYTES: Final = 32_768
"""The longest frame by default: as an event it stays below ``max_payload_bytes``, also if JSON has to escape parts of it."""
SHOWN_BYTES: Final = 200
"""So much of a frame that is too long is handed to the outlet ``error``."""


class Decoder(ABC):
    """Cuts one stream of bytes into items. A frame that cannot be used is a `Failed` among them."""

    problem: FrameError | None = None
    """Why the stream cannot be read any further; set by `feed`."""

    @abstractmethod
    def feed(self, data: bytes) -> list[Any]:
        """Return the items that are complete with these bytes."""

    @abstractmethod
    def end(self) -> list[Any]:
        """Return what is left at the end of the stream: nothing, or one item or failure."""


class Framing(ABC):
    """How items become frames and frames become items.

    Args:
        max_bytes: the longest frame that is taken, and sent.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise WiringError(f"max_bytes is {max_bytes!r}: give a whole number above 0")
        self.max_bytes = max_bytes

    @abstractmethod
    def decoder(self, *, resumes: bool = False) -> Decoder:
        """Return a decoder for one stream; with ``resumes`` it goes on behind a frame that is too long, where that can be found."""

    @abstractmethod
    def frame(self, item: Any) -> bytes:
        """Return the frame of an item; raise `FrameError` if it cannot be one."""

    @abstractmethod
    def notice(self, kind: str, text: str) -> bytes:
        """Return a frame that tells the other side something beside the items: a ``gap``, or why it is ``closed``."""

    def encode(self, item: Any) -> bytes:
        """Return the frame of an item, or of the contents of an event.

        Raises:
            FrameError: it cannot be a frame, or is longer than ``max_bytes``.
        """
        frame = self.frame(item.contents if isinstance(item, Event) else item)
        if len(frame) > self.max_bytes + self.overhead:
            raise FrameError(
                f"a frame of {len(frame)} bytes is longer than {self.max_bytes}: shorten it, or give the framing more max_bytes"
            )
        return frame

    overhead = 1
    """How many bytes of a frame are not counted."""
