"""The bounded queue of one client, and what happens when it is full."""

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from notify.errors import WiringError
from notify.flows.fanout.chunk import Chunk
from notify.values import counted

__all__ = ["ClientQueue", "QueueLimits", "Sender", "WhenFull"]

WRITE_BYTES: Final = 65_536
"""Chunks that wait are written together, up to so many bytes."""

WhenFull: TypeAlias = Literal["drop_oldest", "disconnect", "wait"]
"""What happens when the queue of a client is full."""


class QueueLimits(msgspec.Struct, frozen=True):
    """The limits of the queue of each client.

    Args:
        when_full: ``drop_oldest`` drops the frames that have waited longest and sends the client a gap line in their place; ``disconnect``
            closes the client with a reason; ``wait`` holds back the flow, and with it all other clients.
        max_items: how many frames may wait.
        max_bytes: how many bytes may wait. Clients share the bytes that they wait for.

    Raises:
        WiringError: a value cannot be used.
    """

    when_full: WhenFull = "drop_oldest"
    max_items: int = 10_000
    max_bytes: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.when_full not in ("drop_oldest", "disconnect", "wait"):
            raise WiringError(f"when_full is {self.when_full!r}: give 'drop_oldest', 'disconnect' or 'wait'")
        for name in ("max_items", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise WiringError(f"{name} of a queue is {value!r}: give a whole number above 0")


class Sender(Protocol):
    """One client, as its queue knows it."""

    @property
    def can_write(self) -> bool:
        """Whether all that was written is on its way, and it takes more. When that is so again it calls `ClientQueue.pump`."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def disconnect(self, reason: str) -> None:
        """Close the client, and tell it why."""


class ClientQueue:
    """The frames that wait for one client.

    Args:
        limits: its limits.
        gap: returns the frame that tells the client how many frames were dropped.
        changed: called when frames were written, dropped or forgotten.
    """

    def __init__(self, limits: QueueLimits, gap: Callable[[int], bytes], changed: Callable[[int], None]) -> None:
        self._limits, self._gap, self._changed = limits, gap, changed
        self._chunks: deque[Chunk] = deque()
        self._skipped = 0
        self._gap_items = 0
        self._under_way: Chunk | None = None
        self.sender: Sender | None = None
        self.items = 0
        self.size = 0

    @property
    def is_full(self) -> bool:
        """Whether more waits than the limits allow."""
        return self.items > self._limits.max_items or self.size > self._limits.max_bytes

    @property
    def is_busy(self) -> bool:
        """Whether something waits, or is not written yet."""
        return self.items > 0 or self._under_way is not None

    def attach(self, sender: Sender) -> None:
        """Send what waits, and what comes, to a client."""
        self.sender = sender
        self.pump()

    def detach(self) -> None:
        """Keep what comes until another client is attached, and send it again what the last one had not taken whole."""
        self.sender = None
        if self._under_way is not None:
            if self._skipped:  # what is behind is cut where it begins
                rest = self._chunks.popleft()
                self._chunks.appendleft(Chunk([rest.data[rest.end_of(self._skipped) :]]))
                self.items -= rest.count - self._skipped - 1
                self._skipped = 0
            self._chunks.appendleft(self._under_way)
            self.items += 1
            self.size += len(self._under_way.data)
            self._under_way = None

    def put(self, chunk: Chunk) -> None:
        """Send a chunk, now or when the client takes it."""
        self._chunks.append(chunk)
        self.items += chunk.count
        self.size += len(chunk.data)
        self.pump()
        if self.is_full and self._limits.when_full != "wait":
            self._shorten()

    def pump(self) -> None:
        """Write what waits, as far as the client takes it."""
        sender, chunks = self.sender, self._chunks
        if sender is None or not sender.can_write:
            return
        before = self.items if self._under_way is None else -1
        self._under_way = None
        while chunks and sender.can_write:
            data = self._next()
            sender.write(data)
            if not sender.can_write:
                self._under_way = Chunk([data])
        if self.items != before:
            self._changed(0)

    def clear(self) -> int:
        """Forget all that waits. Returns how many frames that were."""
        left = self.items
        self._chunks.clear()
        self.items = self.size = self._skipped = self._gap_items = 0
        self._under_way = None
        self._changed(left)
        return left

    def _next(self) -> bytes:
        """Take the next bytes to write off the queue."""
        chunks = self._chunks
        if len(chunks) == 1 and not self._skipped and not self._gap_items:
            chunk = chunks.popleft()
            self.items = self.size = 0
            return chunk.data
        parts, size = [self._gap(self._gap_items)] if self._gap_items else [], 0
        self._gap_items = 0
        while chunks and size < WRITE_BYTES:
            chunk = chunks.popleft()
            parts.append(chunk.data[chunk.end_of(self._skipped) :] if self._skipped else chunk.data)
            self.items -= chunk.count - self._skipped
            self._skipped = 0
            size += len(parts[-1])
        self.size -= size
        return b"".join(parts)

    def _shorten(self) -> None:
        """Drop the oldest frames, or the client."""
        if self._limits.when_full == "disconnect":
            waited = self.items
            self.clear()
            if self.sender is not None:
                self.sender.disconnect(f"{counted(waited, 'frame')} waited, since it reads too slowly: read faster, or connect again")
            return
        before = self.items
        while self.is_full and self._chunks:
            chunk = self._chunks[0]
            excess = self.items - self._limits.max_items
            if self.size <= self._limits.max_bytes and chunk.count - self._skipped > excess:
                self._skip(chunk, excess)
            elif len(self._chunks) == 1:
                self._skip(chunk, 1)
            else:
                self._skip(chunk, chunk.count - self._skipped)
        self._gap_items += before - self.items
        self._changed(before - self.items)

    def _skip(self, chunk: Chunk, frames: int) -> None:
        """Drop frames at the front of the oldest chunk."""
        skipped = self._skipped + frames
        self.items -= frames
        self.size -= chunk.end_of(skipped) - chunk.end_of(self._skipped)
        self._skipped = skipped
        if skipped == chunk.count:
            self._chunks.popleft()
            self._skipped = 0
