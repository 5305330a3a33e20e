"""Frames that are sent together. All clients share the bytes."""

from array import array
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["Chunk"]


class Chunk:
    """Some frames as one piece of bytes.

    Args:
        frames: the frames, in order.
    """

    __slots__ = ("_ends", "count", "data")

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.data = b"".join(frames)
        self.count = len(frames)
        self._ends = array("Q", accumulate(map(len, frames)))

    def end_of(self, frames: int) -> int:
        """Return how many bytes the first frames have."""
        return self._ends[frames - 1] if frames else 0
