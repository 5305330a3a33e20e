"""The connection of a subscriber. It is checked while it is silent and opened again when it breaks, and it says when it was."""

import logging
import threading
import time
from collections.abc import Collection
from typing import Any, Final

import msgspec
import redis

from notify.server import Backoff, Client, RawConnection, read_within, release_raw, shut_down, take_raw

__all__ = ["PubSubConnection", "PubSubMessage"]

PROBE_AFTER_S: Final = 1.0
"""Silence after which the server is pinged."""
PROBE_TIMEOUT_S: Final = 2.0
"""Silence after the ping that counts as a lost connection."""

log = logging.getLogger(__name__)


class PubSubMessage(msgspec.Struct, frozen=True):
    """A message: its channel, the pattern that it matched (``None`` if the channel was subscribed to by name), its payload."""

    channel: bytes
    pattern: bytes | None
    payload: bytes


class PubSubConnection:
    """A connection of its own, subscribed to a set of channels and patterns.

    ``PubSub`` of redis-py reconnects without telling, and spends more time on a message than reading it takes. This class
    uses redis-py's connection and sets `resumed` after a reconnect, as soon as all subscriptions are confirmed again.
    Messages that were published in between are lost; the caller has to look for them elsewhere.

    Args:
        client: opens the connection.
        channels, patterns: what to subscribe to.
        name: who subscribes, as the log calls it.
        probe_after_s: silence after which the server is pinged; by default a second.
    """

    def __init__(
        self, client: Client, channels: Collection[str], patterns: Collection[str], *, name: str, probe_after_s: float | None = None
    ) -> None:
        self._client = client
        self._probe_after_s = PROBE_AFTER_S if probe_after_s is None else probe_after_s
        self._channels = channels
        self._patterns = patterns
        self._name = name
        self._connection: RawConnection | None = None
        self._unconfirmed = 0
        self._closing = threading.Event()
        self._backoff = Backoff(log, name)
        self._heard_at = time.monotonic()
        self._pinged_at: float | None = None
        self.resumed = False

    def open(self) -> list[PubSubMessage]:
        """Subscribe, and wait until every subscription is confirmed.

        Returns:
            The messages that came before the last confirmation.
        """
        self._connect()
        early = []
        while self._unconfirmed:
            answer = self._read(self._client.settings.command_timeout_s)
            if answer is None:
                raise redis.TimeoutError("no confirmation of the subscription")
            message = self._interpret(answer)
            if message is not None:
                early.append(message)
        self.resumed = False
        return early

    def receive(self, timeout_s: float) -> PubSubMessage | None:
        """Wait at most ``timeout_s`` seconds for the next message. Look at `resumed` afterwards.

        Raises:
            redis.RedisError, OSError: the connection is lost. Call `pause`, then `receive` again: that connects.
        """
        try:
            if self._connection is None:
                self._connect()
            # No longer than until the next ping is due, or its answer: a long wait would detect a lost connection that much later.
            answer = self._read(min(timeout_s, self._due_in_s()))
            if answer is not None:
                return self._interpret(answer)
            if not self._closing.is_set():
                self._keep_alive()
        except BaseException:
            self._disconnect()
            raise
        return None

    def pause(self, problem: BaseException, *, at_most_s: float) -> None:
        """Wait before the next attempt, longer each time. The first failure of an outage is logged."""
        if self._closing.is_set():
            return
        self.resumed = True  # a repair may have been cut off
        self._closing.wait(min(self._backoff.failed(f"no connection to {self._client.address} ({problem})"), at_most_s))

    def recovered(self) -> None:
        """Record that everything missed was repaired: `resumed` is reset, and the end of an outage is logged."""
        self.resumed = False
        self._backoff.over()

    def interrupt(self) -> None:
        """End a `receive` that waits in another thread; later ones do not wait."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            shut_down(connection)

    def close(self) -> None:
        self._disconnect()

    def _connect(self) -> None:
        self._connection = connection = take_raw(self._client.connection_pool)
        # redis-py reconnects by itself when it finds the connection closed: then too, everything is subscribed to again.
        connection.register_connect_callback(self._subscribe)
        self._subscribe(connection)

    def _subscribe(self, connection: RawConnection) -> None:
        """Send all subscriptions. Their confirmations are counted as they are read."""
        for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
            if names:
                connection.send_command(command, *names, check_health=False)
        self._unconfirmed = len(self._channels) + len(self._patterns)
        self._heard_at, self._pinged_at = time.monotonic(), None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.deregister_connect_callback(self._subscribe)
            connection.disconnect()
            release_raw(self._client.connection_pool, connection)

    def _read(self, timeout_s: float) -> list[Any] | None:
        assert self._connection is not None  # noqa: S101  # both callers connect before
        answer: list[Any] | None = read_within(self._connection, timeout_s)
        if answer is not None:
            self._heard_at, self._pinged_at = time.monotonic(), None
        return answer

    def _interpret(self, answer: list[Any]) -> PubSubMessage | None:
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
        """Seconds until the silence calls for a ping, or, after a ping, counts as a lost connection."""
        due = self._heard_at + self._probe_after_s if self._pinged_at is None else self._pinged_at + PROBE_TIMEOUT_S
        return max(0.0, due - time.monotonic())

    def _keep_alive(self) -> None:
        if self._due_in_s() > 0:
            return
        if self._pinged_at is not None:
            raise redis.ConnectionError(f"no answer to a ping for {PROBE_TIMEOUT_S:g} s")
        assert self._connection is not None  # noqa: S101  # as above
        self._pinged_at = time.monotonic()
        self._connection.send_command("PING", check_health=False)
