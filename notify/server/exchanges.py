"""Commands and answers on one connection, of which the answer to one command may be taken later, after those of others."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import redis

from notify.server.raw import RawConnection, is_stale

__all__ = ["Exchanges"]


class Exchanges:
    """Sends commands over an open connection, and keeps answers and commands together. Errors are redis-py's, and close the connection.

    Args:
        connection: the connection.
    """

    def __init__(self, connection: RawConnection) -> None:
        self._connection = connection
        self.is_owed = False
        """Whether the answer to a command that was sent for `receive` has not been read."""
        self._early: deque[Any] = deque()
        """That answer, or the error in its place, if it was read because another command was exchanged."""

    @property
    def is_ready(self) -> bool:
        """Whether the connection is open, and no answer is owed: a command can be sent at once."""
        return not self.is_owed and self._connection.is_connected and not is_stale(self._connection)

    def exchange(self, command: Sequence[str | bytes | int], timeout_s: float | None) -> Any:
        """Send a command and return the answer, when no other one is owed; ``timeout_s`` as for `receive`."""
        self._send(command)
        return self._read(timeout_s)

    def put_aside(self) -> None:
        """Read the answer that is owed, and keep it for `receive`."""
        if self.is_owed:
            try:
                self._early.append(self.receive(None))
            except (redis.RedisError, OSError) as exc:
                self._early.append(exc)

    def send(self, command: Sequence[str | bytes | int]) -> None:
        """Send a command, whose answer `receive` returns, when no other one is owed. One that was put aside is forgotten."""
        self._early.clear()
        self._send(command)
        self.is_owed = True

    def receive(self, timeout_s: float | None) -> Any:
        """Return the answer to the command that was sent last.

        Args:
            timeout_s: seconds to wait, instead of the timeout of the connection.
        """
        if self._early:
            answer = self._early.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        if not self.is_owed:
            raise redis.ConnectionError("the connection was closed before the answer came")
        self.is_owed = False
        return self._read(timeout_s)

    def has_answer(self) -> bool:
        """Return whether `receive` would not have to wait."""
        return not self.is_owed or is_stale(self._connection)

    def drop(self) -> None:
        """Close the connection."""
        self.is_owed = False
        self._connection.disconnect()

    def _send(self, command: Sequence[str | bytes | int]) -> None:
        try:
            self._connection.send_command(*command, check_health=False)
        except BaseException:
            self.drop()
            raise

    def _read(self, timeout_s: float | None) -> Any:
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
