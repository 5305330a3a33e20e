"""Demand: who listens to a topic, so that a publisher works only while somebody does."""

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
"""How old a look may be. Pub/sub tells nobody who subscribes, so the server is asked; a change is told within a second."""


class Joined(msgspec.Struct, frozen=True):
    """Somebody began to listen.

    Args:
        topic: to which topic.
        name: who; empty if he did not subscribe by Notify.
        listeners: how many listen now; 1 after the first.
    """

    topic: str
    name: str
    listeners: int


class Left(msgspec.Struct, frozen=True):
    """Somebody listens no more, by his own will or not; ``listeners`` is 0 after the last."""

    topic: str
    name: str
    listeners: int


DemandChange: TypeAlias = Joined | Left


class Demand:
    """Iterate it, or call `get`, for who comes and goes; `wait` until somebody listens. Made by `Bus.demand`.

    It goes by the connections that the server has, so a subscriber that was killed is gone at once. Those by name and by
    pattern count, also those of other programs; only the patterns of other programs cannot be seen. A machine that fell silent
    counts until the server notices (``tcp-keepalive``). A connection that is mended between two looks has not gone.

    It has no thread and no connection of its own; it is for one thread. Each look lets the server list its subscribers.
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
        """Return the names of those who listen, sorted; one without a name is ``""``. At most half a second old.

        Raises:
            ClosedError: it is closed.
            ServerError: the server did not answer, or refused.
        """
        self._look_if_due()
        return sorted(self._known.elements())

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until somebody listens, at most ``timeout_s`` seconds (``None``: as long as it takes). Returns whether somebody does.

        While somebody does it costs next to nothing: call it before each piece of work. Errors as for `listeners`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.listeners():
            if not self._rest_until(deadline):
                return False
        return True

    def get(self, timeout_s: float | None = None) -> DemandChange | None:
        """Return who came or went next, or ``None`` if nobody does within ``timeout_s`` seconds (``None``: wait).

        Who listens already is told first. Errors as for `listeners`; the next call asks again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._look_if_due()
        while not self._ready:
            if not self._rest_until(deadline):
                return None
            self._look_if_due()
        return self._ready.popleft()

    def __iter__(self) -> Iterator[DemandChange]:
        """Yield who comes and goes until it is closed."""
        with suppress(ClosedError):
            while (change := self.get()) is not None:
                yield change

    def close(self) -> None:
        """End it; a `wait` or `get` in another thread ends."""
        self._closing.set()

    def __enter__(self) -> "Demand":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Demand for {self.topic!r}>"

    def _rest_until(self, deadline: float | None) -> bool:
        """Wait for the next look. Returns whether there is one before the deadline."""
        next_look = self._looked_at + LOOK_S
        until = next_look if deadline is None else min(next_look, deadline)
        return not self._closing.wait(max(0.0, until - time.monotonic())) and (deadline is None or time.monotonic() < deadline)

    def _look_if_due(self) -> None:
        if self._closing.is_set():
            raise ClosedError(f"{self!r} is closed: ask the bus for another")
        if time.monotonic() - self._looked_at >= LOOK_S:
            now = self._look()
            self._looked_at = time.monotonic()
            self._tell(now)

    def _look(self) -> Counter[str]:
        with self._client.translating(f"looking who listens to {self.topic!r}"), self._client.pipeline(transaction=True) as pipe:
            pipe.pubsub_numsub(self._channel)
            pipe.client_list(_type="pubsub")
            answers: Any = pipe.execute()
        ((_, by_name),), clients = answers
        ours = [interest for client in clients if (interest := listening_client(client)) is not None]
        found = Counter(interest.name for interest in ours if interest.hears(self._channel))
        others = by_name - sum(self._channel in interest.channels for interest in ours)
        return found + Counter({"": others})

    def _tell(self, now: Counter[str]) -> None:
        count = self._known.total()
        for name in sorted((self._known - now).elements()):
            count -= 1
            self._ready.append(Left(self.topic, name, count))
        for name in sorted((now - self._known).elements()):
            count += 1
            self._ready.append(Joined(self.topic, name, count))
        self._known = now
