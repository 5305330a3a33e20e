"""Access to single connections of redis-py, and to parts of them that redis-py does not promise to keep.

A raw connection is a connection of redis-py outside its pool. `RawConnection` lists the methods that this package calls on it;
the functions here also use its private parts. ``tests/notify/server/test_raw.py`` checks both against the installed redis-py.
Nothing outside this file touches a private attribute of redis-py.
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import hiredis
import redis

__all__ = [
    "RawConnection",
    "connect_within",
    "file_number",
    "is_stale",
    "make_raw",
    "read_push",
    "read_within",
    "release_keeping_one",
    "release_raw",
    "send_raw",
    "shut_down",
    "take_raw",
]


class RawConnection(Protocol):
    """A connection of redis-py to the server. Its methods raise the errors of redis-py."""

    socket_timeout: float | None
    socket_connect_timeout: float | None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""

    def connect(self) -> None:
        """Connect and log in. A connection of a Sentinel pool asks for the address of the primary."""

    def disconnect(self) -> None:
        """Close the connection. The next command opens a new one."""

    def send_command(self, *command: str | bytes | int, check_health: bool = True) -> None:
        """Send a command, and connect first if needed. With ``check_health`` a connection that was idle for long is pinged first."""

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether the first byte of an answer arrives within ``timeout`` seconds; raises if the connection is closed."""

    def read_response(self, *, timeout: float = ..., disconnect_on_error: bool = True) -> Any:
        """Return the next answer, or raise it if it is an error. ``timeout``, in seconds, replaces that of the connection."""

    def register_connect_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` with the connection each time it connects. redis-py keeps only a weak reference to a bound method."""

    def deregister_connect_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` no more."""


def take_raw(pool: redis.ConnectionPool) -> RawConnection:
    """Take a connection out of a pool, connected. `release_raw` gives it back."""
    return cast(RawConnection, pool.get_connection())


def release_raw(pool: redis.ConnectionPool, connection: RawConnection) -> None:
    """Give a connection back to the pool that it was taken from."""
    pool.release(cast(Any, connection))


def make_raw(pool: redis.ConnectionPool) -> RawConnection:
    """Make a connection with the options of a pool. It is not connected yet, and the pool does not know of it."""
    return cast(RawConnection, pool.make_connection())


def send_raw(connection: RawConnection, command: Sequence[str | bytes | int], *, check_health: bool = True) -> None:
    """Send a command as ``send_command`` does, in half the time: that looks at each argument in Python first."""
    try:
        packed = hiredis.pack_command(tuple[Any, ...](command))
    except TypeError as exc:
        raise redis.DataError(str(exc)) from exc
    cast(Any, connection).send_packed_command([packed], check_health=check_health)


def connect_within(connection: RawConnection, timeout_s: float) -> None:
    """Connect within ``timeout_s`` seconds, and leave the timeouts of the connection as they were."""
    before = connection.socket_connect_timeout, connection.socket_timeout
    connection.socket_connect_timeout = connection.socket_timeout = timeout_s
    try:
        connection.connect()
    finally:
        connection.socket_connect_timeout, connection.socket_timeout = before
    cast(Any, connection).update_current_socket_timeout(-1)  # restores the timeout of the open socket


def is_stale(connection: RawConnection) -> bool:
    """Return whether an idle connection cannot be used: the server closed it, or an answer to an earlier command has arrived."""
    try:
        return connection.is_connected and connection.can_read()
    except (redis.RedisError, OSError):
        return True


def read_within(connection: RawConnection, timeout_s: float) -> Any:
    """Return the next answer, or ``None`` if it is not complete within ``timeout_s`` seconds. The next call reads the rest of it."""
    if not connection.can_read(timeout_s):
        return None
    try:
        return connection.read_response(timeout=timeout_s, disconnect_on_error=False)
    except redis.TimeoutError:
        return None


def read_push(connection: RawConnection, timeout_s: float) -> Any:
    """As `read_within`, for a connection that speaks RESP 3: a message that the server pushes is returned as a list, too."""
    if not connection.can_read(timeout_s):
        return None
    inner = cast(Any, connection)
    inner._parser.set_invalidation_push_handler(list)  # else redis-py reads this kind of message and returns nothing
    return inner.read_response(push_request=True)


def file_number(connection: RawConnection) -> int:
    """Return the file descriptor of an open connection, for ``poll`` on several of them."""
    return int(cast(Any, connection)._sock.fileno())


def release_keeping_one(pool: redis.ConnectionPool, connection: Any, release: Callable[[Any], None]) -> None:
    """Give a connection back to its pool by ``release``, and close it if the pool has an open one already."""
    inner = cast(Any, pool)
    with inner._lock:
        if any(idle.is_connected for idle in inner._available_connections):
            connection.disconnect()
        release(connection)
        inner._available_connections.sort(key=lambda idle: idle.is_connected)  # the pool gives the last one away first


def shut_down(connection: RawConnection) -> None:
    """Shut down the socket, which ends the wait of another thread for an answer. A connection of fakeredis, without one, times out."""
    sock = getattr(connection, "_sock", None)
    if isinstance(sock, socket.socket):
        with suppress(OSError):  # the socket is not connected any more
            sock.shutdown(socket.SHUT_RDWR)
