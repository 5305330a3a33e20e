"""The bell by which a horse wakes its worker: not at the end of each short task, but at the end of some of them."""

import socket
from contextlib import suppress
from typing import Final

__all__ = ["Bell"]

MOST: Final = 4096


class Bell:
    """Wakes whoever polls it. `ring` is safe from any thread, in a signal handler, and in the processes that the worker forks."""

    def __init__(self) -> None:
        self._ringing: socket.socket | None = None
        self._heard: socket.socket | None = None

    def open(self) -> None:
        """Make the pair of sockets, before the fork server is forked."""
        self._ringing, self._heard = socket.socketpair()
        for end in (self._ringing, self._heard):
            end.setblocking(False)

    def fileno(self) -> int:
        """Return the file number that is readable after a ring."""
        return -1 if self._heard is None else self._heard.fileno()

    def close(self) -> None:
        """Close both ends, in this process."""
        for end in (self._ringing, self._heard):
            if end is not None:
                end.close()
        self._ringing = self._heard = None

    def ring(self) -> None:
        """Wake the worker, or keep it from going to sleep."""
        ringing = self._ringing
        if ringing is not None:
            with suppress(OSError):  # it has rung so often that it is full, or was closed just now
                ringing.send(b"!")

    def clear(self) -> None:
        """Forget that it rang."""
        if self._heard is not None:
            with suppress(BlockingIOError):
                self._heard.recv(MOST)
