"""Tokens, of which a horse takes one before each task: what it has not taken, the worker may take back at any moment.

The kernel decides who gets a token, for both read the same end of a pair of sockets. So a task is either begun or taken back, never both,
without a lock that a killed process could hold for ever.
"""

import socket
import struct
from contextlib import suppress
from typing import Final

__all__ = ["Tokens"]

NUMBERS: Final = 1 << 32
"""A token is the end of the number of its task. One byte was not enough: a task that was taken back stays with the horse until it takes the
next token, and by then the numbers of claims that brought nothing may have come round to it."""
TOKEN: Final = struct.Struct("I")
MOST: Final = 1024 * TOKEN.size


class Tokens:
    """The tokens of one horse. Both ends stay open in the worker, and the processes that it forks inherit them."""

    def __init__(self) -> None:
        self._giving: socket.socket | None = None
        self._taking: socket.socket | None = None

    def open(self) -> None:
        """Make the pair of sockets, before the fork server is forked."""
        self._giving, self._taking = socket.socketpair()

    def fileno(self) -> int:
        """Return the file number that is readable while there is a token."""
        return -1 if self._taking is None else self._taking.fileno()

    def close(self) -> None:
        """Close both ends, in this process."""
        for end in (self._giving, self._taking):
            if end is not None:
                end.close()
        self._giving = self._taking = None

    def give(self, *numbers: int) -> None:
        """In the worker: let the horse begin the tasks with these numbers, in this order."""
        if self._giving is not None:
            self._giving.sendall(b"".join(TOKEN.pack(number % NUMBERS) for number in numbers))  # so few that none is sent in part

    def take_back(self) -> int:
        """In the worker: take back all tokens that the horse has not taken, the last ones that were given. Returns how many."""
        count = 0
        with suppress(OSError):  # there is none left, or another thread has closed them just now
            while (taking := self._taking) is not None and (taken := taking.recv(MOST, socket.MSG_DONTWAIT)):
                count += len(taken) // TOKEN.size
        return count

    def take(self) -> int | None:
        """In the horse: take the next token, and return it; ``None`` if there is none. `is_of` tells of which task it is."""
        return self._receive(0)

    def look(self) -> int | None:
        """In the horse: return the next token as `take` does, and leave it. The worker may take it back at any moment."""
        return self._receive(socket.MSG_PEEK)

    def _receive(self, how: int) -> int | None:
        try:
            if self._taking is None or not (token := self._taking.recv(TOKEN.size, how | socket.MSG_DONTWAIT)):
                return None
        except BlockingIOError:
            return None
        number: int = TOKEN.unpack(token)[0]
        return number

    @staticmethod
    def is_of(token: int, number: int) -> bool:
        """Return whether a token is that of the task with a number."""
        return number % NUMBERS == token
