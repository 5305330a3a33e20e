"""One connection kept at hand for single commands, and one lent for a stream of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import redis

__all__ = ["DirectConnection", "stream"]

SMALL_POOL: Final = 8
"""A pool that may open no more connections than this is short of them: none is kept from it."""


class DirectConnection:
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

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send a command and return the answer as the server gives it; redis-py's errors.

        ``timeout_s`` is for the answer, instead of that of the pool. Only to connect one more, for a thread that finds the
        connection in use, may take longer.
        """
        connection = self._take()
        try:
            _connect(connection, timeout_s)
            if timeout_s is None:
                connection.send_command(*command)
                return connection.read_response()
            connection.send_command(*command, check_health=False)  # its ping would wait for as long as it likes
            return connection.read_response(timeout=timeout_s)
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
            # Nobody asked it anything: it was closed, or an answer came too late for who did.
            stale = connection.is_connected and connection.can_read()
        except (redis.RedisError, OSError):
            stale = True
        if stale:
            connection.disconnect()
        return connection


def stream(pool: redis.ConnectionPool, commands: Iterable[Sequence[str | bytes | int]], *, in_flight: int) -> Iterator[Any]:
    """Send commands, each once, and yield their answers in turn; so many are on their way before the first answer is waited for.

    Errors are redis-py's. After one nobody knows which of those on their way were carried out.
    """
    connection: Any = pool.get_connection()
    try:
        waiting = 0
        for command in commands:
            connection.send_command(*command)
            waiting += 1
            if waiting == in_flight:
                yield connection.read_response()
                waiting -= 1
        for _ in range(waiting):
            yield connection.read_response()
    except BaseException:
        connection.disconnect()  # or the answers that still come would be taken for those to the next commands
        raise
    finally:
        pool.release(connection)


def _connect(connection: Any, timeout_s: float | None) -> None:
    """Connect, if need be, within a time that is left nowhere behind. Sending would connect as well, and ask no Sentinel where to."""
    if connection.is_connected:
        return
    before = connection.socket_connect_timeout, connection.socket_timeout
    if timeout_s is not None:
        connection.socket_connect_timeout = connection.socket_timeout = timeout_s
    try:
        connection.connect()
    finally:
        connection.socket_connect_timeout, connection.socket_timeout = before
    if timeout_s is not None:
        connection.update_current_socket_timeout(-1)  # that is, the one that was put back
