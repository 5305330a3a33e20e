"""Commands without the overhead of redis-py: single commands over a kept connection, and pipelined commands."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import redis

from notify.server.raw import RawConnection, connect_within, is_stale, release_raw, send_raw, take_raw

__all__ = ["DirectConnection", "pipelined"]

SMALL_POOL: Final = 8
"""A pool that is limited to this many connections, or fewer, needs all of them: `DirectConnection` keeps none of them."""


class DirectConnection:
    """Sends single commands, without repeating them, over a connection that is kept between commands.

    ``execute_command`` of redis-py spends more time on its pool, metrics and retries than the server spends on the command.
    Several threads may send commands: while one of them uses the kept connection, the others take connections from the pool.

    Args:
        pool: the pool to take connections from. Closing the pool also closes the kept connection.
        keep: whether to keep a connection; if not, each command takes one from the pool.
    """

    def __init__(self, pool: redis.ConnectionPool, *, keep: bool) -> None:
        self._pool = pool
        self._max_kept = int(keep and pool.max_connections > SMALL_POOL)
        self._kept: list[RawConnection] = []
        self._pid = os.getpid()

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send a command and return the answer without the conversions of redis-py. Errors are redis-py's.

        Args:
            command: the command and its arguments.
            timeout_s: seconds to wait for the answer, instead of the timeout of the pool. The call may take longer if it opens
                another connection, because another thread uses the kept one.
        """
        connection = self._take()
        try:
            if not connection.is_connected:
                # `send_command` would connect too, but would not ask a Sentinel for the address.
                if timeout_s is None:
                    connection.connect()
                else:
                    connect_within(connection, timeout_s)
            if timeout_s is None:
                send_raw(connection, command)
                return connection.read_response()
            send_raw(connection, command, check_health=False)  # the ping of a health check has a timeout of its own
            return connection.read_response(timeout=timeout_s)
        except redis.ReadOnlyError:
            connection.disconnect()  # the server has become a replica: the address may lead to another one by now
            raise
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # otherwise a late answer would be read as the answer to the next command
            raise
        finally:
            if len(self._kept) < self._max_kept:
                self._kept.append(connection)
            else:
                release_raw(self._pool, connection)

    def drop_idle(self) -> None:
        """Close the connections that nobody uses now: after one whose packets were lost, each of them would cost a timeout of its own."""
        with suppress(IndexError):  # another thread uses the kept one
            idle = self._kept.pop()
            idle.disconnect()
            self._kept.append(idle)
        self._pool.disconnect(inuse_connections=False)

    def _take(self) -> RawConnection:
        """Return the kept connection, or another one while a thread uses it."""
        if self._pid != os.getpid():
            # After a fork: the kept connection belongs to the parent process.
            self._kept, self._pid = [], os.getpid()
        try:
            connection = self._kept.pop()  # atomic: two threads never get the same connection
        except IndexError:
            return take_raw(self._pool)
        if is_stale(connection):
            connection.disconnect()
        return connection


def pipelined(pool: redis.ConnectionPool, commands: Iterable[Sequence[str | bytes | int]], *, in_flight: int) -> Iterator[Any]:
    """Send commands over one connection, without repeating them, and yield their answers in order.

    Args:
        pool: the pool to take the connection from.
        commands: the commands; each is taken from the iterable when it is sent.
        in_flight: how many commands are sent before the first answer is read.

    Raises:
        redis.RedisError, OSError: it is unknown which of the commands in flight were carried out.
    """
    connection = take_raw(pool)
    try:
        waiting = 0
        for command in commands:
            send_raw(connection, command)
            waiting += 1
            if waiting == in_flight:
                yield connection.read_response()
                waiting -= 1
        for _ in range(waiting):
            yield connection.read_response()
    except BaseException:
        connection.disconnect()  # otherwise late answers would be read as answers to the next commands
        raise
    finally:
        release_raw(pool, connection)
