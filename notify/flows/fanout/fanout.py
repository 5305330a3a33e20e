"""The queues of all clients: each frame goes to each of them."""

import asyncio
from collections.abc import Callable, Sequence

from notify.flows.fanout.chunk import Chunk
from notify.flows.fanout.queue import ClientQueue, QueueLimits

__all__ = ["Fanout"]


class Fanout:
    """Sends each frame to every client, and keeps it for those that do not take it now, within their limits.

    Use it in one event loop.

    Args:
        limits: the limits of each client.
        gap: returns the frame that tells a client how many frames were dropped.
    """

    def __init__(self, limits: QueueLimits, gap: Callable[[int], bytes]) -> None:
        self.limits = limits
        self._gap = gap
        self._queues: dict[ClientQueue, None] = {}
        self._change = asyncio.Event()
        self.dropped = 0
        """Frames that were dropped, each counted for each client that did not get it."""

    def add(self) -> ClientQueue:
        """Return the queue of a new client, which gets all frames from now on."""
        queue = ClientQueue(self.limits, self._gap, self._changed)
        self._queues[queue] = None
        return queue

    def remove(self, queue: ClientQueue) -> int:
        """End the queue of a client. Returns how many frames still waited."""
        if queue not in self._queues:
            return 0
        del self._queues[queue]
        queue.detach()
        return queue.clear()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send frames to all clients."""
        if not frames or not self._queues:
            return
        chunk = Chunk(frames)
        for queue in tuple(self._queues):
            queue.put(chunk)

    async def room(self) -> None:
        """Wait until all clients have room, if the limits say that the flow waits for them."""
        while self.is_full:
            await self._next_change()

    @property
    def is_full(self) -> bool:
        """Whether a client has no room, and the limits say that the flow waits for it."""
        return self.limits.when_full == "wait" and any(queue.is_full for queue in self._queues)

    async def drained(self) -> None:
        """Wait until all is written."""
        while any(queue.is_busy for queue in self._queues):
            await self._next_change()

    @property
    def waiting(self) -> int:
        """How many frames wait, at the client for which most wait."""
        return max((queue.items for queue in self._queues), default=0)

    async def _next_change(self) -> None:
        self._change.clear()
        await self._change.wait()

    def _changed(self, dropped: int) -> None:
        self.dropped += dropped
        self._change.set()
