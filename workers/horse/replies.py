"""The replies of a horse, read by the worker. They stay in the socket until their ends are recorded.

So the fork server, which has the socket too, finds the ends of all runs that a killed worker did not record.
"""

import socket
from collections import deque
from typing import Final

from workers.horse.channel import LENGTH_BYTES, Reply, decoded

__all__ = ["Replies"]

MOST_BYTES: Final = 1 << 20
"""More than a socket holds."""
LARGE_BYTES: Final = 65_536
"""A reply above this may not fit into the socket: it is taken out while it arrives, when all before it are recorded."""


class Replies:
    """Reads replies and leaves them where they are, until `forget`.

    Args:
        end: the worker's end of the channel; it belongs to the caller.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sizes: deque[int] = deque()
        """The bytes of the replies that were read and are still in the socket."""
        self._seen = 0
        self._large = bytearray()
        self.is_stuck = False
        """Whether a large reply comes after others that are still in the socket: read again when they are forgotten."""

    @property
    def is_partial(self) -> bool:
        """Whether a large reply is arriving: read again when the socket is readable."""
        return bool(self._large)

    def read(self) -> list[Reply]:
        """Return the replies that have arrived since the last call, without waiting."""
        if self._large:
            return self._read_large()
        data = self._look()
        found = []
        at = 0
        for reply, end in decoded(memoryview(data)[self._seen :].tobytes(), Reply):
            found.append(reply)
            self._sizes.append(end - at)
            at = end
        self._seen += at
        comes_large = int.from_bytes(data[self._seen : self._seen + LENGTH_BYTES], "big") > LARGE_BYTES
        if comes_large and self._seen == 0:
            return self._read_large()
        self.is_stuck = comes_large
        return found

    def forget(self, count: int) -> None:
        """Take the oldest replies out of the socket: what they say is recorded."""
        size = sum(self._sizes.popleft() for _ in range(min(count, len(self._sizes))))
        self._seen -= size
        while size > 0:
            size -= len(self._end.recv(size))

    def _look(self) -> bytes:
        try:
            return self._end.recv(MOST_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return b""

    def _read_large(self) -> list[Reply]:
        """Read on in a reply that is larger than the socket. If its horse dies meanwhile, it never gets whole."""
        try:
            while chunk := self._end.recv(self._missing(), socket.MSG_DONTWAIT):
                self._large += chunk
        except (BlockingIOError, ConnectionResetError):
            pass  # the rest comes later, or never
        for reply, _ in decoded(self._large, Reply):
            self._large.clear()
            self._sizes.append(0)
            return [reply]
        return []

    def _missing(self) -> int:
        """Return how many bytes of the reply have not arrived: what comes after it stays in the socket."""
        have = len(self._large)
        if have < LENGTH_BYTES:
            return LENGTH_BYTES - have
        return LENGTH_BYTES + int.from_bytes(self._large[:LENGTH_BYTES], "big") - have
