"""A client for one thread, with a single connection that other threads can shut down."""

from typing import Any

from notify.server.client import Client
from notify.server.exchanges import Exchanges
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
        self._exchanges = Exchanges(self._connection)

    def ensure_open(self) -> bool:
        """Open the connection unless it is open. Returns whether it had to be opened. Errors as for `exchange`."""
        self.check_open()
        if self._exchanges.is_owed:
            return False
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

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, and no answer is owed: a command can be sent at once."""
        return self._exchanges.is_ready

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        self._exchanges.put_aside()
        self.ensure_open()
        return self._exchanges.exchange(command, timeout_s)

    def send(self, *command: str | bytes | int) -> None:
        """Send a command, whose answer is to be read with `receive`; others may be exchanged before. Errors as for `exchange`."""
        self._exchanges.put_aside()
        self.ensure_open()
        self._exchanges.send(command)

    def receive(self, *, timeout_s: float | None = None) -> Any:
        """Return the answer to the command that was sent last. Errors as for `exchange`."""
        return self._exchanges.receive(timeout_s)

    def has_answer(self) -> bool:
        """Return whether `receive` would not have to wait."""
        return self._exchanges.has_answer()

    def fileno(self) -> int:
        """Return the file descriptor of the open connection, for ``poll``."""
        return file_number(self._connection)

    def drop(self) -> None:
        """Close the connection. The next command opens another one."""
        self._exchanges.drop()

    def interrupt(self) -> None:
        """End the wait of another thread for an answer."""
        shut_down(self._connection)

    def hang_up(self) -> None:
        self.drop()
        super().hang_up()
