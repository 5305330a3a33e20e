"""The connection of a subscriber: kept alive, mended when it breaks, and never mended in silence."""

import logging
import random
import socket
import threading
import time
from collections.abc import Collection
from typing import Any, Final

import msgspec
import redis

from notify.connection import Client

__all__ = ["Reception", "Tidings"]

PROBE_AFTER_S: Final = 1.0
"""Silence after which the server is asked whether it is still there."""
PROBE_TIMEOUT_S: Final = 2.0
"""Silence after the question that counts as a dead connection."""
MAX_BACKOFF_S: Final = 2.0

log = logging.getLogger(__name__)


class Tidings(msgspec.Struct, frozen=True):
    """What came on a channel, and through which pattern, if it was one."""

    channel: bytes
    pattern: str | None
    payload: bytes


class Reception:
    """A pub/sub connection to a set of channels and patterns.

    redis-py mends a lost connection without a word, but for one more confirmation of each subscription. The last of them
    raises `resumed`: whatever was published meanwhile did not come, and is to be looked for elsewhere.

    Args:
        client: whose connections to use.
        channels, patterns: what to subscribe to.
        name: how messages in the log call us.
    """

    def __init__(self, client: Client, channels: Collection[str], patterns: Collection[str], *, name: str) -> None:
        self._client = client
        self._channels = channels
        self._patterns = patterns
        self._name = name
        self._pubsub: Any = client.pubsub()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._closing = threading.Event()
        self._outage_since: float | None = None
        self._heard_at = time.monotonic()
        self._asked_at: float | None = None
        self.resumed = False

    def open(self) -> list[Tidings]:
        """Subscribe; it is live when this returns.

        Returns:
            What came before the last of the subscriptions was confirmed.
        """
        if self._channels:
            self._pubsub.subscribe(*self._channels)
        if self._patterns:
            self._pubsub.psubscribe(*self._patterns)
        early, missing = [], len(self._channels) + len(self._patterns)
        while missing:
            message = self._pubsub.get_message(timeout=self._client.settings.command_timeout_s)
            if message is None:
                raise redis.TimeoutError("no confirmation of the subscription")
            if message["type"].endswith("subscribe"):
                missing -= 1
            else:
                early.append(_tidings(message))
        return early

    def receive(self, timeout_s: float) -> Tidings | None:
        """Wait for the next message, at most ``timeout_s`` seconds. Look at `resumed` afterwards.

        Raises:
            redis.RedisError, OSError: the connection is lost. Call `pause`, then try again: it is mended by itself.
        """
        message = self._pubsub.get_message(timeout=timeout_s)
        if self._closing.is_set():
            return None
        if message is None:
            self._keep_alive()
            return None
        self._heard_at, self._asked_at = time.monotonic(), None
        if message["type"] in ("message", "pmessage"):
            return _tidings(message)
        if message["type"] in ("subscribe", "psubscribe"):
            # They are counted: with the last one all of them stand again.
            self.resumed = message["data"] == len(self._channels) + len(self._patterns)
        return None

    def pause(self, problem: BaseException, *, at_most_s: float) -> None:
        """Wait before the next try, longer each time; the first time the loss is logged."""
        if self._closing.is_set():
            return
        self.resumed = True  # what was being received just now may have got stuck half-way
        now = time.monotonic()
        if self._outage_since is None:
            self._outage_since = now
            log.warning("%s lost its connection to %s and tries again: %s", self._name, self._client.address, problem)
        backoff_s = min(MAX_BACKOFF_S, 0.05 + (now - self._outage_since) / 2) * random.uniform(0.5, 1.0)
        self._closing.wait(min(backoff_s, at_most_s))

    def recovered(self) -> None:
        """Note that all is well again."""
        self.resumed = False
        if self._outage_since is not None:
            log.warning("%s is connected again after %.1f s", self._name, time.monotonic() - self._outage_since)
            self._outage_since = None

    def interrupt(self) -> None:
        """Let a `receive` that waits in another thread end at once; none will wait any more."""
        self._closing.set()
        sock = getattr(self._pubsub.connection, "_sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("%s was not connected when it was closed", self._name)

    def close(self) -> None:
        self._pubsub.close()

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at > PROBE_TIMEOUT_S:
            self._pubsub.connection.disconnect()
            self._heard_at, self._asked_at = now, None
            raise redis.ConnectionError(f"silent for {PROBE_TIMEOUT_S:g} s when asked")
        if self._asked_at is None and now - self._heard_at >= PROBE_AFTER_S:
            self._asked_at = now
            self._pubsub.ping()


def _tidings(message: dict[str, Any]) -> Tidings:
    pattern = message["pattern"]
    return Tidings(message["channel"], pattern.decode() if pattern else None, message["data"])
