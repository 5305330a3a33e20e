"""One connection kept at hand for single commands."""

import os
from typing import Any, Final

import redis

__all__ = ["Line"]

SMALL_POOL: Final = 8
"""A pool that may open no more connections than this is short of them: none is kept from it."""


class Line:
    """Sends single commands, each once, over a connection that it keeps between them.

    ``execute_command`` of redis-py spends more time on taking a connection out of its pool, on metrics and on retries than
    the server on the command. Here a thread that finds the connection in use takes another one out of the pool.

    Args:
        pool: where connections come from; closing the pool closes the one that is kept.
        keep: whether to keep one.
    """

    def __init__(self, pool: redis.ConnectionPool, *, keep: bool) -> None:
        self._pool = pool
        self._room = int(keep and pool.max_connections > SMALL_POOL)
        self._kept: list[Any] = []
        self._pid = os.getpid()

    def exchange(self, *command: str | bytes | int) -> Any:
        """Send a command and return the answer as the server gives it; redis-py's errors."""
        connection = self._take()
        try:
            connection.send_command(*command)
            return connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # or the answer, when it comes, would be taken for that to the next command
            raise
        finally:
            if len(self._kept) < self._room:
                self._kept.append(connection)
            else:
                self._pool.release(connection)

    def _take(self) -> Any:
        if self._pid != os.getpid():
            # Born in a fork: the connection is the parent's.
            self._kept, self._pid = [], os.getpid()
        try:
            connection = self._kept.pop()  # atomic: no two threads get the same
        except IndexError:
            return self._pool.get_connection()
        try:
            stale = connection.can_read()  # nobody asked it anything: it was closed, or an answer came too late for who did
        except (redis.RedisError, OSError):
            stale = True
        if not stale:
            return connection
        connection.disconnect()
        self._pool.release(connection)
        return self._pool.get_connection()
