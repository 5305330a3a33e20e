"""Direct connections: one that is kept for single commands, and one that is lent for pipelined commands."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import redis

from notify.server.raw import RawConnection, connect_within, is_stale, release_raw, take_raw

__all__ = ["DirectConnection", "pipelined"]

SMALL_POOL: Final = 8
"""A pool limited to this many connections needs all of them: none is kept out of it."""


class DirectConnection:
    """Sends single commands, each once, over a connection that it keeps between them.

    ``execute_command`` of redis-py spends more time on its pool, metrics and retries than the server spends on the command.
    While one thread uses the connection, other threads take connections out of the pool.

    Args:
        pool: where connections come from; closing the pool closes the one that is kept.
        keep: whether to keep a connection.
    """

    def __init__(self, pool: redis.ConnectionPool, *, keep: bool) -> None:
        self._pool = pool
        self._room = int(keep and pool.max_connections > SMALL_POOL)
        self._kept: list[RawConnection] = []
        self._pid = os.getpid()

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send a command and return the answer as the server gives it; errors are redis-py's.

        Args:
            command: the command and its arguments.
            timeout_s: seconds to wait for the answer, instead of the timeout of the pool. To open one more connection, because
                another thread uses the kept one, may take longer.
        """
        connection = self._take()
        try:
            if not connection.is_connected:
                # Sending would connect as well, but without asking a Sentinel for the address.
                if timeout_s is None:
                    connection.connect()
                else:
                    connect_within(connection, timeout_s)
            if timeout_s is None:
                connection.send_command(*command)
                return connection.read_response()
            connection.send_command(*command, check_health=False)  # the ping of a health check has a timeout of its own
            return connection.read_response(timeout=timeout_s)
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # a late answer must not be taken for the answer to the next command
            raise
        finally:
            if len(self._kept) < self._room:
                self._kept.append(connection)
            else:
                release_raw(self._pool, connection)

    def _take(self) -> RawConnection:
        if self._pid != os.getpid():
            # After a fork: the kept connection belongs to the parent process.
            self._kept, self._pid = [], os.getpid()
        try:
            connection = self._kept.pop()  # atomic: no two threads get the same
        except IndexError:
            return take_raw(self._pool)
        if is_stale(connection):
            connection.disconnect()
        return connection


def pipelined(pool: redis.ConnectionPool, commands: Iterable[Sequence[str | bytes | int]], *, in_flight: int) -> Iterator[Any]:
    """Send commands, each once, and yield their answers in order.

    Args:
        pool: where the connection comes from.
        commands: the commands; the next one is taken only when it is to be sent.
        in_flight: how many commands are sent before the first answer is awaited.

    Raises:
        redis.RedisError, OSError: it is unknown which of the commands in flight were carried out.
    """
    connection = take_raw(pool)
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
        connection.disconnect()  # late answers must not be taken for answers to the next commands
        raise
    finally:
        release_raw(pool, connection)
