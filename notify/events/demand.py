"""Demand: reports the subscribers of a topic, so that a publisher can work only while there are subscribers."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias

import msgspec
import redis

from notify.errors import ClosedError
from notify.events.client_name import listening_client
from notify.events.topic import check_topic
from notify.server import Client

__all__ = ["Demand", "DemandChange", "Joined", "Left"]

POLL_S: Final = 0.5
"""Time between two readings of the list of subscribers. Redis does not announce subscriptions, so the list is polled."""

log = logging.getLogger(__name__)


class Joined(msgspec.Struct, frozen=True):
    """A subscriber was added to the topic.

    Args:
        topic: the topic.
        name: the name of the subscriber; empty if it did not subscribe through Notify.
        listeners: the number of subscribers after this change; 1 after the first one joined.
    """

    topic: str
    name: str
    listeners: int


class Left(msgspec.Struct, frozen=True):
    """A subscriber unsubscribed, or its connection was lost. Fields as in `Joined`; ``listeners`` is 0 after the last subscriber left."""

    topic: str
    name: str
    listeners: int


DemandChange: TypeAlias = Joined | Left


class Demand:
    """Reports the subscribers of a topic. Made by `Bus.demand`.

    `wait` waits for a subscriber. `get`, or iterating, returns each change. The subscribers are read from the connections of the
    server, at most twice a second: a change is reported within a second, also after kill -9. Subscribers that do not use Notify
    count if they subscribed by name; Redis does not show their patterns. After a failure of the network a subscriber counts until
    the server closes its connection (``tcp-keepalive``). A subscriber that reconnects between two readings has not left. Where the user
    may not run ``CLIENT LIST``, subscribers have no names, and those by pattern are not seen; a warning says so once.

    A demand has no thread and no connection of its own. It is for one thread; only `close` may be called by another one.
    """

    def __init__(self, client: Client, topic: str) -> None:
        client.require_server("a demand, which reads the connections of the server,")
        self.topic = check_topic(topic)
        self._client = client
        self._channel = client.own_keys.channel(topic)
        self._may_list = True
        self._known: Counter[str] = Counter()
        self._ready: deque[DemandChange] = deque()
        self._read_at = float("-inf")
        self._closing = threading.Event()
        self._reading = threading.RLock()

    def listeners(self) -> list[str]:
        """Return the names of the subscribers, sorted, at most half a second old; ``""`` for one that does not use Notify.

        Raises:
            ClosedError: the demand is closed.
            ServerError: the server did not answer, or refused.
        """
        self._read_if_due()
        return sorted(self._known.elements())

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until there is a subscriber, at most ``timeout_s`` seconds (``None``: without limit). Returns whether there is one.

        While there is one, the call returns at once, and asks the server at most twice a second: call it before each piece of work.
        It returns ``False`` if another thread closes the demand. Errors as for `listeners`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.listeners():
            if not self._wait_for_next_read(deadline):
                return False
        return True

    def get(self, timeout_s: float | None = None) -> DemandChange | None:
        """Return the next change, or ``None`` if there is none within ``timeout_s`` seconds (``None``: wait without limit).

        The present subscribers come first, as `Joined`. ``None`` is also returned if another thread closes the demand. Errors as for
        `listeners`; after an error `get` may be called again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._read_if_due()
        while not self._ready:
            if not self._wait_for_next_read(deadline):
                return None
            self._read_if_due()
        return self._ready.popleft()

    def __iter__(self) -> Iterator[DemandChange]:
        """Yield changes until the demand is closed."""
        with suppress(ClosedError):  # another thread has closed it
            while (change := self.get()) is not None:
                yield change

    def close(self) -> bool:
        """Close the demand; a `wait` or `get` in another thread returns. Returns ``False`` if it is closed already."""
        was_open = not self._closing.is_set()
        self._closing.set()
        with self._reading:
            pass  # no reading is under way any more: its connection may be closed
        return was_open

    def __enter__(self) -> "Demand":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Demand for {self.topic!r}>"

    def _wait_for_next_read(self, deadline: float | None) -> bool:
        """Wait until the next reading is due. Returns ``False`` if the deadline comes before, or the demand is closed."""
        next_read = self._read_at + POLL_S
        until = next_read if deadline is None else min(next_read, deadline)
        return not self._closing.wait(max(0.0, until - time.monotonic())) and (deadline is None or time.monotonic() < deadline)

    def _read_if_due(self) -> None:
        with self._reading:
            if self._closing.is_set():
                raise ClosedError(f"{self!r} is closed: make another one with bus.demand")
            if time.monotonic() - self._read_at >= POLL_S:
                now = self._read()
                self._read_at = time.monotonic()
                self._compare(now)

    def _read(self) -> Counter[str]:
        """Read how many subscribers there are of each name."""
        with self._client.translating(f"listing the subscribers of {self.topic!r}"):
            try:
                by_name, clients = self._read_with_names() if self._may_list else (self._count(), [])
            except redis.exceptions.NoPermissionError as refusal:
                log.warning(
                    "the demand for %r has no names, and misses subscribers by pattern: CLIENT LIST is refused: %s", self.topic, refusal
                )
                self._may_list = False
                by_name, clients = self._count(), []
        notify_clients = [found for client in clients if (found := listening_client(client)) is not None]
        names = Counter(client.name for client in notify_clients if client.hears(self._channel))
        others = by_name - sum(self._channel in client.channels for client in notify_clients)
        return names + Counter({"": others})

    def _read_with_names(self) -> tuple[int, Any]:
        """Read how many subscribers there are by name, and all subscribed connections, at one instant."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.pubsub_numsub(self._channel)
            pipe.client_list(_type="pubsub")
            ((_, by_name),), clients = pipe.execute()
        return by_name, clients

    def _count(self) -> int:
        answer: Any = self._client.pubsub_numsub(self._channel)
        return int(answer[0][1])

    def _compare(self, now: Counter[str]) -> None:
        """Queue the changes from the known subscribers to those of a new reading."""
        count = self._known.total()
        for name in sorted((self._known - now).elements()):
            count -= 1
            self._ready.append(Left(self.topic, name, count))
        for name in sorted((now - self._known).elements()):
            count += 1
            self._ready.append(Joined(self.topic, name, count))
        self._known = now
