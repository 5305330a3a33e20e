"""A client for one thread, with a single connection that other threads can shut down."""

from typing import Any

import redis

from notify.server.client import Client
from notify.server.raw import file_number, is_stale, make_raw, shut_down

__all__ = ["SingleConnection"]


class SingleConnection(Client):
    """Sends the commands of one thread over one connection, which it keeps. After an error the next command opens another one.

    Only `exchange`, and what is built on it, such as scripts, uses this connection.

    Args:
        client: its pool says how to connect, and its settings apply. It is closed with this one.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client.connection_pool, settings=client.settings)
        self._connection = make_raw(self.connection_pool)

    def ensure_open(self) -> bool:
        """Open the connection unless it is open. Returns whether it had to be opened. Errors as for `exchange`."""
        self.check_open()
        if is_stale(self._connection):
            self.drop()
        if self._connection.is_connected:
            return False
        try:
            self._connection.connect()  # `send_command` would connect too, but would not ask a Sentinel for the address
        except BaseException:
            self.drop()
            raise
        return True

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        self.send(*command)
        return self.receive() if timeout_s is None else self.receive(timeout_s=timeout_s)

    def send(self, *command: str | bytes | int) -> None:
        """Send a command, whose answer is to be read with `receive`. Connect first if needed. Errors as for `exchange`."""
        self.ensure_open()
        try:
            self._connection.send_command(*command, check_health=False)
        except BaseException:
            self.drop()
            raise

    def receive(self, *, timeout_s: float | None = None) -> Any:
        """Return the answer to the command that was sent last. Errors as for `exchange`."""
        try:
            return self._connection.read_response() if timeout_s is None else self._connection.read_response(timeout=timeout_s)
        except redis.ReadOnlyError:
            self.drop()  # the server has become a replica: the address may lead to another one by now
            raise
        except redis.ResponseError:
            raise
        except BaseException:
            self.drop()  # otherwise a late answer would be read as the answer to the next command
            raise

    def fileno(self) -> int:
        """Return the file descriptor of the open connection, for ``poll``."""
        return file_number(self._connection)

    def drop(self) -> None:
        """Close the connection. The next command opens another one."""
        self._connection.disconnect()

    def interrupt(self) -> None:
        """End the wait of another thread for an answer."""
        shut_down(self._connection)

    def hang_up(self) -> None:
        self.drop()
        super().hang_up()
