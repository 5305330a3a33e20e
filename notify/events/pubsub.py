"""The connection of a subscriber: kept alive, mended when it breaks, and never mended in silence."""

import logging
import socket
import threading
import time
from collections.abc import Collection
from typing import Any, Final

import msgspec
import redis

from notify.server import Backoff, Client

__all__ = ["PubSubConnection", "PubSubMessage"]

PROBE_AFTER_S: Final = 1.0
"""Silence after which the server is asked whether it is still there."""
PROBE_TIMEOUT_S: Final = 2.0
"""Silence after the question that counts as a dead connection."""

log = logging.getLogger(__name__)


class PubSubMessage(msgspec.Struct, frozen=True):
    """What came on a channel, and through which pattern, if it was one."""

    channel: bytes
    pattern: bytes | None
    payload: bytes


class PubSubConnection:
    """A connection of its own, subscribed to a set of channels and patterns.

    redis-py mends a lost connection without a word, and its ``PubSub`` spends more time on a message than reading it takes.
    Here the connection is redis-py's and the rest ours: whenever it had to be made anew, and all subscriptions stand
    again, `resumed` is raised. Whatever was published meanwhile did not come, and is to be looked for elsewhere.

    Args:
        client: whose connections to use.
        channels, patterns: what to subscribe to.
        name: how messages in the log call us.
        probe_after_s: silence after which the server is asked whether it is still there; by default a second.
    """

    def __init__(
        self, client: Client, channels: Collection[str], patterns: Collection[str], *, name: str, probe_after_s: float | None = None
    ) -> None:
        self._client = client
        self._probe_after_s = PROBE_AFTER_S if probe_after_s is None else probe_after_s
        self._channels = channels
        self._patterns = patterns
        self._name = name
        self._connection: Any = None
        self._unconfirmed = 0
        self._closing = threading.Event()
        self._backoff = Backoff(log, name)
        self._heard_at = time.monotonic()
        self._asked_at: float | None = None
        self.resumed = False

    def open(self) -> list[PubSubMessage]:
        """Subscribe; it is live when this returns.

        Returns:
            What came before the last of the subscriptions was confirmed.
        """
        self._connect()
        early = []
        while self._unconfirmed:
            answer = self._read(self._client.settings.command_timeout_s)
            if answer is None:
                raise redis.TimeoutError("no confirmation of the subscription")
            tidings = self._understand(answer)
            if tidings is not None:
                early.append(tidings)
        self.resumed = False
        return early

    def receive(self, timeout_s: float) -> PubSubMessage | None:
        """Wait for the next message, at most ``timeout_s`` seconds. Look at `resumed` afterwards.

        Raises:
            redis.RedisError, OSError: the connection is lost. Call `pause`, then try again: it is mended by itself.
        """
        try:
            if self._connection is None:
                self._connect()
            # Not beyond the moment at which to ask, or to give up: a long wait would notice a dead server that much later.
            answer = self._read(min(timeout_s, self._due_in_s()))
            if answer is not None:
                return self._understand(answer)
            if not self._closing.is_set():
                self._keep_alive()
        except BaseException:
            self._disconnect()
            raise
        return None

    def pause(self, problem: BaseException, *, at_most_s: float) -> None:
        """Wait before the next try, longer each time; the first time the loss is logged."""
        if self._closing.is_set():
            return
        self.resumed = True  # what was being received just now may have got stuck half-way
        self._closing.wait(min(self._backoff.failed(f"no connection to {self._client.address} ({problem})"), at_most_s))

    def recovered(self) -> None:
        """Note that all is well again."""
        self.resumed = False
        self._backoff.over()

    def interrupt(self) -> None:
        """Let a `receive` that waits in another thread end at once; none will wait any more."""
        self._closing.set()
        sock = getattr(self._connection, "_sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("%s was not connected when it was closed", self._name)

    def close(self) -> None:
        self._disconnect()

    def _connect(self) -> None:
        self._connection = self._client.connection_pool.get_connection()
        # redis-py connects again by itself where it finds itself cut off: then too, all is subscribed to again.
        self._connection.register_connect_callback(self._subscribe)
        self._subscribe(self._connection)

    def _subscribe(self, connection: Any) -> None:
        """Ask for all subscriptions. What confirms them is counted as it is read: with the last one all of them stand."""
        for command, names in (("SUBSCRIBE", self._channels), ("PSUBSCRIBE", self._patterns)):
            if names:
                connection.send_command(command, *names, check_health=False)
        self._unconfirmed = len(self._channels) + len(self._patterns)
        self._heard_at, self._asked_at = time.monotonic(), None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.deregister_connect_callback(self._subscribe)
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _read(self, timeout_s: float) -> list[Any] | None:
        """One answer as the server sends it; ``None`` if none is complete in time: its beginning is kept."""
        if not self._connection.can_read(timeout_s):
            return None
        try:
            answer: list[Any] = self._connection.read_response(timeout=timeout_s, disconnect_on_error=False)
        except redis.TimeoutError:
            return None
        self._heard_at, self._asked_at = time.monotonic(), None
        return answer

    def _understand(self, answer: list[Any]) -> PubSubMessage | None:
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
        """Seconds until the silence has lasted so long that something is to be done about it."""
        due = self._heard_at + self._probe_after_s if self._asked_at is None else self._asked_at + PROBE_TIMEOUT_S
        return max(0.0, due - time.monotonic())

    def _keep_alive(self) -> None:
        if self._due_in_s() > 0:
            return
        if self._asked_at is not None:
            raise redis.ConnectionError(f"silent for {PROBE_TIMEOUT_S:g} s when asked")
        self._asked_at = time.monotonic()
        self._connection.send_command("PING", check_health=False)
