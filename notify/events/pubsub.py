"""The pub/sub connection of a subscriber: it pings a silent server, reconnects after a failure, and reports each reconnect."""

import logging
import threading
import time
from collections.abc import Collection
from typing import Any, Final

import msgspec
import redis

from notify.errors import ServerRefusedError
from notify.server import Backoff, Client, RawConnection, read_within, release_raw, shut_down, take_raw

__all__ = ["PubSubConnection", "PubSubMessage"]

PROBE_AFTER_S: Final = 1.0
"""Time without data from the server after which it is pinged."""
PROBE_TIMEOUT_S: Final = 2.0
"""Time without an answer to the ping after which the connection counts as lost."""

log = logging.getLogger(__name__)


class PubSubMessage(msgspec.Struct, frozen=True):
    """A message: its channel, the pattern through which it arrived (``None`` for a subscription by name), its payload."""

    channel: bytes
    pattern: bytes | None
    payload: bytes


class PubSubConnection:
    """A connection that is subscribed to a fixed set of channels and patterns.

    ``PubSub`` of redis-py does not report a reconnect, and takes several times as long for a message. This class uses only the
    connections of redis-py. After a reconnect it sets `resumed` as soon as all subscriptions are confirmed again. Messages that were
    published in between are lost; the caller must read them from the log.

    Args:
        client: the client whose pool the connection is taken from.
        channels: the channels to subscribe to by name.
        patterns: the patterns to subscribe to.
        name: the name of the subscriber in the log.
    """

    def __init__(self, client: Client, channels: Collection[str], patterns: Collection[str], *, name: str) -> None:
        self._client = client
        self._channels = channels
        self._patterns = patterns
        self._name = name
        self._connection: RawConnection | None = None
        self._unconfirmed = 0
        self._closing = threading.Event()
        self._backoff = Backoff(log, name)
        self._answered_at = time.monotonic()
        self._pinged_at: float | None = None
        self.resumed = False
        """Whether messages may have been lost: set when a reconnect is confirmed, and by `pause`; reset by `recovered`."""

    def open(self) -> list[PubSubMessage]:
        """Subscribe, and wait until every subscription is confirmed.

        Returns:
            The messages that came before the last confirmation.

        Raises:
            ServerRefusedError: the user may not subscribe to one of the channels or patterns; the message names them.
            redis.RedisError, OSError: there is no connection, or it is lost.
        """
        connection = self._connect()
        early = []
        while self._unconfirmed:
            try:
                answer = read_within(connection, min(self._client.settings.command_timeout_s, PROBE_TIMEOUT_S))
            except redis.exceptions.NoPermissionError as refusal:
                raise ServerRefusedError(self._missing_rights(refusal)) from refusal
            if answer is None:
                raise redis.TimeoutError("the server did not confirm the subscription")
            message = self._interpret(answer)
            if message is not None:
                early.append(message)
        self.resumed = False
        return early

    def receive(self, timeout_s: float) -> PubSubMessage | None:
        """Wait at most ``timeout_s`` seconds for the next message. The caller checks `resumed` afterwards.

        Raises:
            redis.RedisError, OSError: the connection is lost. Call `pause`, then `receive` again, which connects.
        """
        try:
            connection = self._connection or self._connect()
            # At most until the next ping, or the answer to one, is due: a longer wait would delay the detection of a lost connection.
            answer = read_within(connection, min(timeout_s, self._due_in_s()))
            if answer is not None:
                return self._interpret(answer)
            if not self._closing.is_set():
                self._keep_alive()
        except BaseException:
            self._disconnect()
            self._client.hang_up()  # the connection over which logs are read is probably lost as well
            raise
        return None

    def pause(self, problem: BaseException, *, at_most_s: float) -> None:
        """Wait before the next attempt, longer during a long outage, at most ``at_most_s`` seconds. Logs the first failure of an outage."""
        if self._closing.is_set():
            return
        self.resumed = True  # the error may have interrupted a repair
        self._closing.wait(min(self._backoff.failed(f"no connection to {self._client.address} ({problem})", cause=problem), at_most_s))

    def recovered(self) -> None:
        """Record that the missed messages were read from the log: resets `resumed`, and logs the end of an outage."""
        self.resumed = False
        self._backoff.over()

    def interrupt(self) -> None:
        """End a `receive` that waits in another thread; later ones do not wait."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            shut_down(connection)

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()

    def _connect(self) -> RawConnection:
        self._connection = connection = take_raw(self._client.connection_pool)
        # redis-py may reconnect by itself when it sends a command on a closed connection: the callback then subscribes again.
        connection.register_connect_callback(self._subscribe)
        self._subscribe(connection)
        return connection

    def _subscribe(self, connection: RawConnection) -> None:
        """Subscribe to all channels and patterns. `_interpret` counts the confirmations."""
        for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
            if names:
                connection.send_command(command, *names, check_health=False)
        self._unconfirmed = len(self._channels) + len(self._patterns)
        self._answered_at, self._pinged_at = time.monotonic(), None

    def _missing_rights(self, refusal: Exception) -> str:
        rights = " ".join(f"&{name}" for name in (*self._channels, *self._patterns))
        return (
            f"the user of {self._client.address} may not subscribe to all of these channels: grant {rights} with ACL SETUSER "
            f"(a pattern has to be granted as it is written here; the server said: {refusal})"
        )

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.deregister_connect_callback(self._subscribe)
            connection.disconnect()
            release_raw(self._client.connection_pool, connection)

    def _interpret(self, answer: list[Any]) -> PubSubMessage | None:
        """Return the message in an answer; ``None`` for a confirmation or the answer to a ping."""
        self._answered_at, self._pinged_at = time.monotonic(), None
        kind = answer[0]
        if kind == b"message":
            return PubSubMessage(answer[1], None, answer[2])
        if kind == b"pmessage":
            return PubSubMessage(answer[2], answer[1], answer[3])
        if kind in (b"subscribe", b"psubscribe"):
            self._unconfirmed -= 1
            self.resumed = not self._unconfirmed
        return None

    def _due_in_s(self) -> float:
        """Return the seconds until the next ping is due or, after a ping, until its answer is overdue."""
        due = self._answered_at + PROBE_AFTER_S if self._pinged_at is None else self._pinged_at + PROBE_TIMEOUT_S
        return max(0.0, due - time.monotonic())

    def _keep_alive(self) -> None:
        """Ping the server if that is due; raise if the answer to the last ping is overdue."""
        if self._due_in_s() > 0:
            return
        if self._pinged_at is not None:
            raise redis.ConnectionError(f"no answer to a ping for {PROBE_TIMEOUT_S:g} s")
        assert self._connection is not None  # noqa: S101  # as above
        self._pinged_at = time.monotonic()
        self._connection.send_command("PING", check_health=False)
