"""Tokens, of which a horse takes one before each task: what it has not taken, the worker may take back at any moment.

The kernel decides who gets a token, for both read the same end of a pair of sockets. So a task is either begun or taken back, never both,
without a lock that a killed process could hold for ever.
"""

import socket
from contextlib import suppress
from typing import Final

__all__ = ["Tokens"]

NUMBERS: Final = 256
"""A token is one byte, the last one of the number of its task: there are never so many tasks under way."""
MOST: Final = 4096


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
            self._giving.sendall(bytes(number % NUMBERS for number in numbers))

    def take_back(self) -> int:
        """In the worker: take back all tokens that the horse has not taken, the last ones that were given. Returns how many."""
        count = 0
        with suppress(OSError):  # there is none left, or another thread has closed them just now
            while (taking := self._taking) is not None and (taken := taking.recv(MOST, socket.MSG_DONTWAIT)):
                count += len(taken)
        return count

    def take(self) -> int | None:
        """In the horse: take the next token, and return the last byte of the number of its task; ``None`` if there is none."""
        try:
            return None if self._taking is None else self._taking.recv(1, socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            return None

    @staticmethod
    def is_of(token: int, number: int) -> bool:
        """Return whether a token is that of the task with a number."""
        return number % NUMBERS == token
