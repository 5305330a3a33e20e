"""The parts of redis-py's connections that this package relies on and that redis-py does not promise to keep.

A raw connection is one that was taken out of a pool. `RawConnection` lists the methods that are called on it; the functions
here reach below them. ``tests/notify/server/test_raw.py`` checks each of them against the installed redis-py.
Nothing outside this file touches a private attribute of redis-py.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import redis

__all__ = ["RawConnection", "connect_within", "file_number", "is_stale", "make_raw", "read_within", "release_raw", "shut_down", "take_raw"]


class RawConnection(Protocol):
    """A connection to the server. Its errors are redis-py's."""

    socket_timeout: float | None
    socket_connect_timeout: float | None

    @property
    def is_connected(self) -> bool: ...

    def connect(self) -> None:
        """Connect and log in; a pool of a Sentinel is asked for the address of the primary."""

    def disconnect(self) -> None: ...

    def send_command(self, *command: str | bytes | int, check_health: bool = True) -> None:
        """Send a command, and connect before if need be. With ``check_health`` a connection long unused is pinged first."""

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether the first byte of an answer arrives within ``timeout`` seconds; raises if the server hung up."""

    def read_response(self, *, timeout: float = ..., disconnect_on_error: bool = True) -> Any:
        """Return the next answer, within ``timeout`` seconds instead of the connection's own; an error reply is raised."""

    def register_connect_callback(self, callback: Callable[[Any], None]) -> None:
        """Call a bound method, of which redis-py keeps a weak reference, with the connection whenever it connects again."""

    def deregister_connect_callback(self, callback: Callable[[Any], None]) -> None: ...


def take_raw(pool: redis.ConnectionPool) -> RawConnection:
    """Take a connected connection out of a pool; `release_raw` gives it back."""
    return cast(RawConnection, pool.get_connection())


def release_raw(pool: redis.ConnectionPool, connection: RawConnection) -> None:
    """Give a connection back to the pool that it was taken from."""
    pool.release(cast(Any, connection))


def make_raw(pool: redis.ConnectionPool) -> RawConnection:
    """Make a connection with the options of a pool. It is not connected yet, and the pool does not know of it."""
    return cast(RawConnection, pool.make_connection())


def connect_within(connection: RawConnection, timeout_s: float) -> None:
    """Connect within ``timeout_s`` seconds, and leave the timeouts of the connection as they were."""
    before = connection.socket_connect_timeout, connection.socket_timeout
    connection.socket_connect_timeout = connection.socket_timeout = timeout_s
    try:
        connection.connect()
    finally:
        connection.socket_connect_timeout, connection.socket_timeout = before
    cast(Any, connection).update_current_socket_timeout(-1)  # the open socket too gets back the timeout of the connection


def is_stale(connection: RawConnection) -> bool:
    """Return whether an idle connection cannot be used: the server closed it, or an answer is there that nobody waits for."""
    try:
        return connection.is_connected and connection.can_read()
    except (redis.RedisError, OSError):
        return True


def read_within(connection: RawConnection, timeout_s: float) -> Any:
    """Return the next answer, or ``None`` if none is complete within ``timeout_s`` seconds. The beginning of one is kept."""
    if not connection.can_read(timeout_s):
        return None
    try:
        return connection.read_response(timeout=timeout_s, disconnect_on_error=False)
    except redis.TimeoutError:
        return None


def file_number(connection: RawConnection) -> int:
    """Return the file descriptor of a connected connection, to wait for several of them with ``poll``."""
    return int(cast(Any, connection)._sock.fileno())


def shut_down(connection: RawConnection) -> None:
    """End the wait of another thread on a connection: it sees the connection closed. A fake connection is left to its timeout."""
    sock = getattr(connection, "_sock", None)
    if isinstance(sock, socket.socket):
        with suppress(OSError):  # it is not connected any more
            sock.shutdown(socket.SHUT_RDWR)
