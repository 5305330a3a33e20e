"""Demand: the subscribers of a topic, so that a publisher can work only while there are any."""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias

import msgspec

from notify.errors import ClosedError
from notify.events.client_name import listening_client
from notify.events.topic import check_topic
from notify.keys import Keys
from notify.server import Client

__all__ = ["Demand", "DemandChange", "Joined", "Left"]

LOOK_S: Final = 0.5
"""Age at which the list of subscribers is read again. Redis does not announce subscriptions; so a change is seen within a second."""


class Joined(msgspec.Struct, frozen=True):
    """A subscriber was added to the topic.

    Args:
        topic: the topic.
        name: the name of the subscriber; empty if it did not subscribe through Notify.
        listeners: the number of subscribers now; 1 after the first one.
    """

    topic: str
    name: str
    listeners: int


class Left(msgspec.Struct, frozen=True):
    """A subscriber is gone: it unsubscribed, or its connection was lost. Fields as in `Joined`; ``listeners`` is 0 after the last one."""

    topic: str
    name: str
    listeners: int


DemandChange: TypeAlias = Joined | Left


class Demand:
    """The subscribers of a topic: iterate, or call `get`, for changes; `wait` until there is a subscriber. Made by `Bus.demand`.

    Subscribers are read from the connections of the server, so a killed subscriber disappears at once. Subscriptions by name
    and by pattern count, also those of other programs, except for patterns of other programs, which the server does not show.
    A subscriber on a machine that lost its network counts until the server closes the connection (``tcp-keepalive``). A
    subscriber that reconnects between two readings has not left.

    A demand has no thread and no connection of its own, and is for one thread. Each reading makes the server list its subscribers.
    """

    def __init__(self, client: Client, topic: str) -> None:
        self.topic = check_topic(topic)
        self._client = client
        self._channel = Keys(client.settings.namespace).channel(topic)
        self._known: Counter[str] = Counter()
        self._ready: deque[DemandChange] = deque()
        self._looked_at = float("-inf")
        self._closing = threading.Event()

    def listeners(self) -> list[str]:
        """Return the names of the subscribers, sorted, at most half a second old; one without a name is ``""``.

        Raises:
            ClosedError: the demand is closed.
            ServerError: the server did not answer, or refused.
        """
        self._look_if_due()
        return sorted(self._known.elements())

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until there is a subscriber, at most ``timeout_s`` seconds (``None``: without limit). Returns whether there is one.

        While there is one, the call costs next to nothing: call it before each piece of work. Errors as for `listeners`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.listeners():
            if not self._wait_for_next_look(deadline):
                return False
        return True

    def get(self, timeout_s: float | None = None) -> DemandChange | None:
        """Return the next change, or ``None`` if there is none within ``timeout_s`` seconds (``None``: wait without limit).

        The subscribers that are there already come first, as `Joined`. Errors as for `listeners`; the next call reads again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._look_if_due()
        while not self._ready:
            if not self._wait_for_next_look(deadline):
                return None
            self._look_if_due()
        return self._ready.popleft()

    def __iter__(self) -> Iterator[DemandChange]:
        """Yield changes until the demand is closed."""
        with suppress(ClosedError):
            while (change := self.get()) is not None:
                yield change

    def close(self) -> None:
        """Close the demand; a `wait` or `get` in another thread ends."""
        self._closing.set()

    def __enter__(self) -> "Demand":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Demand for {self.topic!r}>"

    def _wait_for_next_look(self, deadline: float | None) -> bool:
        """Wait until the list of subscribers is to be read again. Returns whether that is before the deadline."""
        next_look = self._looked_at + LOOK_S
        until = next_look if deadline is None else min(next_look, deadline)
        return not self._closing.wait(max(0.0, until - time.monotonic())) and (deadline is None or time.monotonic() < deadline)

    def _look_if_due(self) -> None:
        if self._closing.is_set():
            raise ClosedError(f"{self!r} is closed: make another one with bus.demand")
        if time.monotonic() - self._looked_at >= LOOK_S:
            now = self._look()
            self._looked_at = time.monotonic()
            self._compare(now)

    def _look(self) -> Counter[str]:
        with self._client.translating(f"listing the subscribers of {self.topic!r}"), self._client.pipeline(transaction=True) as pipe:
            pipe.pubsub_numsub(self._channel)
            pipe.client_list(_type="pubsub")
            answers: Any = pipe.execute()
        ((_, by_name),), clients = answers
        ours = [found for client in clients if (found := listening_client(client)) is not None]
        named = Counter(client.name for client in ours if client.hears(self._channel))
        others = by_name - sum(self._channel in client.channels for client in ours)
        return named + Counter({"": others})

    def _compare(self, now: Counter[str]) -> None:
        count = self._known.total()
        for name in sorted((self._known - now).elements()):
            count -= 1
            self._ready.append(Left(self.topic, name, count))
        for name in sorted((now - self._known).elements()):
            count += 1
            self._ready.append(Joined(self.topic, name, count))
        self._known = now
