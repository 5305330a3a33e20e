"""Receiving events: live by pub/sub, complete by the log.

Pub/sub only wakes. Every event names the one before it; where that is not the one delivered last, and after every
reconnect, and when it was quiet for a while, the subscriber reads what is missing from the topic's log. What the log
does not hold any more becomes one `Gap`. The idea of position and epoch is that of Centrifugo's recovery.
"""

import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis

from notify.connection import Client
from notify.errors import ClosedError, EmptySubscriptionError, ServerError
from notify.event import Event, Gap
from notify.positions import Positions
from notify.scripts import Scripts
from notify.topic import Glob, check_topic_or_pattern, is_pattern

__all__ = ["Subscriber"]

PROBE_AFTER_S: Final = 1.0
"""Silence after which the server is asked whether it is still there."""
PROBE_TIMEOUT_S: Final = 2.0
"""Silence after the question that counts as a dead connection."""
REPAIR_AFTER_S: Final = 5.0
"""How often the log is compared in any case: pub/sub may have lost the last event of a topic, and no later one would tell."""
MAX_BACKOFF_S: Final = 2.0

log = logging.getLogger(__name__)


class Subscriber:
    """Iterate it, or call `get`: each yields an `Event`, or a `Gap` where events are missing for good.

    It is live when the constructor returns. Retained events come first. It has no thread: whoever calls `get` does the
    reading. One that reads slowly is cut off by the server when its buffer is full, and repairs from the log.
    An outage of the server is ridden out: `get` waits, then goes on with what was missed.

    Args:
        client: whose server, settings and namespace to use; the subscriber opens a connection of its own.
        topics: topic names and glob patterns.
        name: what ``CLIENT LIST`` shows.

    Raises:
        EmptySubscriptionError: no topic was given.
        InvalidTopicError: a topic cannot be subscribed to.
        ServerUnreachableError, ServerRefusedError: the first connection failed.
    """

    def __init__(self, client: Client, topics: Sequence[str], *, name: str = "subscriber") -> None:
        if not topics:
            raise EmptySubscriptionError("subscribe to at least one topic; '*' means all of them")
        names = [check_topic_or_pattern(topic) for topic in topics]
        self._exact = {topic for topic in names if not is_pattern(topic)}
        self._patterns = {topic: Glob(topic) for topic in names if is_pattern(topic)}
        self._client = client.clone(name=name)
        self._scripts = Scripts(self._client)
        self._keys = self._scripts.keys
        self._positions = Positions(self._scripts)
        self._ready: deque[Event | Gap] = deque()
        self._closing = threading.Event()
        self._reading = threading.RLock()
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._outage_since: float | None = None
        self._heard_at = self._repaired_at = time.monotonic()
        self._asked_at: float | None = None
        self._must_repair = False
        try:
            with self._client.translating("subscribing"):
                self._open()
        except BaseException:
            self.close()
            raise

    def get(self, timeout_s: float | None = None) -> Event | Gap | None:
        """Return the next event or gap.

        Args:
            timeout_s: seconds to wait; ``0`` asks without waiting, ``None`` waits until there is one.

        Returns:
            ``None`` if none came in time, or the subscriber was closed while waiting.

        Raises:
            ClosedError: it was closed before.
        """
        if self._closing.is_set():
            raise ClosedError("this subscriber is closed: subscribe again")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            while not self._ready and not self._closing.is_set():
                left_s = PROBE_AFTER_S if deadline is None else min(PROBE_AFTER_S, deadline - time.monotonic())
                heard = self._receive(max(0.0, left_s))
                if not heard and deadline is not None and time.monotonic() >= deadline:
                    break
            return self._ready.popleft() if self._ready and not self._closing.is_set() else None

    def __iter__(self) -> Iterator[Event | Gap]:
        """Yield events and gaps until the subscriber is closed."""
        while not self._closing.is_set():
            try:
                item = self.get()
            except ClosedError:
                return  # just now, by another thread
            if item is not None:
                yield item

    def close(self) -> None:
        """End the subscription; a `get` that waits in another thread returns ``None``. May be called again."""
        self._closing.set()
        self._wake_reader()
        with self._reading:
            self._pubsub.close()
            self._client.close()

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscriber to {', '.join([*sorted(self._exact), *self._patterns])}>"

    def _open(self) -> None:
        if self._exact:
            self._pubsub.subscribe(*map(self._keys.channel, self._exact))
        if self._patterns:
            self._pubsub.psubscribe(*map(self._keys.channel, self._patterns))
        early, missing = [], len(self._exact) + len(self._patterns)
        while missing:
            message = self._pubsub.get_message(timeout=self._client.settings.command_timeout_s)
            if message is None:
                raise redis.TimeoutError("no confirmation of the subscription")
            if message["type"].endswith("subscribe"):
                missing -= 1
            else:
                early.append(message)
        # Live from here on. What was published before counts as seen, but for what is retained.
        self._ready.extend(self._positions.start(self._topics()))
        for message in early:
            self._accept(message)

    def _topics(self) -> list[str]:
        """The topics subscribed to by name, and the known ones that match a pattern."""
        known = self._scripts.topics() if self._patterns else []
        return sorted({*self._exact, *(topic for topic in known if self._pattern_of(topic))})

    def _pattern_of(self, topic: str) -> str | None:
        """The first pattern that matches: an event that comes through several counts once."""
        return next((pattern for pattern, glob in self._patterns.items() if glob.matches(topic)), None)

    def _receive(self, timeout_s: float) -> bool:
        """Read at most one message; keep the connection honest. Returns whether there was a message."""
        try:
            message = self._pubsub.get_message(timeout=timeout_s)
            if self._closing.is_set():
                return False
            if message is None:
                self._keep_alive()
            else:
                self._heard_at, self._asked_at = time.monotonic(), None
                self._accept(message)
            if self._must_repair or time.monotonic() - self._repaired_at >= REPAIR_AFTER_S:
                self._repair()
            return message is not None
        except (redis.RedisError, ServerError, OSError) as exc:
            self._lost(exc, timeout_s)
            return False

    def _accept(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in ("message", "pmessage"):
            topic = self._keys.topic_of(message["channel"].decode())
            if kind == "pmessage" and self._comes_otherwise(topic, message["pattern"].decode()):
                return
            self._ready.extend(self._positions.deliver(topic, message["data"]))
        elif kind in ("subscribe", "psubscribe"):
            # redis-py mends a lost connection without a word but this one, for each topic and pattern, counted.
            # Whatever was published meanwhile is in the log.
            self._must_repair = message["data"] == len(self._exact) + len(self._patterns)

    def _comes_otherwise(self, topic: str, pattern_channel: str) -> bool:
        """Whether the same event comes by name, or through a pattern before this one."""
        first = self._pattern_of(topic)
        return topic in self._exact or (first is not None and pattern_channel != self._keys.channel(first))

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at > PROBE_TIMEOUT_S:
            self._pubsub.connection.disconnect()
            self._heard_at, self._asked_at = now, None
            raise redis.ConnectionError(f"silent for {PROBE_TIMEOUT_S:g} s when asked")
        if self._asked_at is None and now - self._heard_at >= PROBE_AFTER_S:
            self._asked_at = now
            self._pubsub.ping()

    def _repair(self) -> None:
        for topic in self._topics():
            self._ready.extend(self._positions.repair(topic))
        self._must_repair, self._repaired_at = False, time.monotonic()
        if self._outage_since is not None:
            log.warning("%r is connected again after %.1f s", self, time.monotonic() - self._outage_since)
            self._outage_since = None

    def _lost(self, exc: BaseException, timeout_s: float) -> None:
        now = time.monotonic()
        if self._closing.is_set():
            return
        self._must_repair = True  # also what was being delivered just now may have got stuck half-way
        if self._outage_since is None:
            self._outage_since = now
            log.warning("%r lost its connection to %s and tries again: %s", self, self._client.address, exc)
        backoff_s = min(MAX_BACKOFF_S, 0.05 + (now - self._outage_since) / 2) * random.uniform(0.5, 1.0)
        self._closing.wait(min(backoff_s, timeout_s))

    def _wake_reader(self) -> None:
        connection = getattr(self._pubsub, "connection", None)
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed already
