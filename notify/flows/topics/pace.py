"""Back pressure through the log of a topic: a publisher waits while a flow with a stored position is too far behind it.

The log of a topic keeps a number of events, whoever has read them. A reader that is slower than the publisher for long finds a gap.
A `Pace` compares the stored position of the reader with the log, and has the publisher wait before the log loses what was not read.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import redis

from notify.errors import ServerError
from notify.events import BATCH, Glob, Item, is_pattern
from notify.flows.topics.position import StoredPosition
from notify.server import Backoff, Client, is_of_another_type

__all__ = ["Pace"]

LOOK_S: Final = 0.005
"""The publisher looks at the position so often while it waits."""
TELL_S: Final = 5.0
"""A wait that takes so long is logged."""
ENTRY_BYTES: Final = 200
"""What an entry of a log takes besides the event, at most."""

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """A place in the log of a topic: how many events the log had had then, and the id of the last of them."""

    events: int
    last: tuple[int, int]


class Pace:
    """Knows how far the reader of some topics is behind the publisher, in events of all publishers.

    At most half of a log is published ahead of the reader. The other half is for what other publishers add between two looks.

    Args:
        client: the server.
        position: the name of the position of the reader.
        name: the publisher, in logs.
        wait: waits so many seconds; returns whether to give up.
    """

    def __init__(self, client: Client, position: str, *, name: str, wait: Callable[[float], bool]) -> None:
        self._client, self._wait = client, wait
        self._name, self._position = position, StoredPosition(client, position)
        self._publisher, self._backoff = name, Backoff(log, name)
        self._most = client.settings.log_length // 2
        self._places: dict[str, deque[Place]] = {}
        self._since_look: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._largest = 1

    @property
    def batch(self) -> int:
        """The most events to publish between two calls of `before`."""
        return max(1, min(BATCH, self._step))

    @property
    def _step(self) -> int:
        return max(1, self._most // 4)

    def before(self, items: list[Item]) -> None:
        """Wait before items are published until the reader is near enough; not at all if waiting is given up."""
        self._fit(max(len(item.body) for item in items))
        counts: dict[str, int] = {}
        for item in items:
            counts[item.topic] = counts.get(item.topic, 0) + 1
        for topic, count in counts.items():
            self._own[topic] = self._own.get(topic, 0) + count
            so_far = self._since_look.get(topic, self._step) + count
            if so_far <= self._step:
                self._since_look[topic] = so_far
            elif self._follow(topic):
                self._since_look[topic] = count

    def _fit(self, size: int) -> None:
        """Take account of the size of events: a log of large ones is cut off earlier."""
        if size > self._largest:
            self._largest = size
            settings = self._client.settings
            self._most = max(1, min(settings.log_length, settings.log_bytes // (size + ENTRY_BYTES)) // 2)

    def _follow(self, topic: str) -> bool:
        """Wait until the reader is near enough on a topic. Returns ``False`` if waiting was given up."""
        began_at, is_told = time.monotonic(), False
        while (pause_s := self._pause_s(topic)) > 0:
            if self._wait(pause_s):
                return False
            if not is_told and time.monotonic() - began_at >= TELL_S:
                is_told = True
                log.warning(
                    "%s waits: on %r the position %r is more than %d events behind; check that its flow runs",
                    *(self._publisher, topic, self._name, self._most),
                )
        return True

    def _pause_s(self, topic: str) -> float:
        """Return the seconds until the next look: 0 if the reader is near enough."""
        try:
            is_near = self._ahead(topic) <= self._most
        except ServerError as exc:
            return self._backoff.failed(exc)
        self._backoff.over()
        return 0.0 if is_near else LOOK_S

    def _ahead(self, topic: str) -> int:
        """Return how many events of a topic the reader has not taken, as far as that is known: rather too many than too few."""
        with self._client.translating(f"comparing the log of {topic!r} with the position {self._name!r}"):
            present, length = self._present(topic)
            reached = self._reached(topic)
        places = self._places.setdefault(topic, deque())
        if places and present.events < places[-1].events:
            places.clear()  # the log has begun anew
        if not places:
            places.append(Place(present.events - length, (0, 0)))
        if present.last != places[-1].last:
            places.append(present)
        while len(places) > 1 and reached >= places[1].last:
            places.popleft()
        return present.events - places[0].events

    def _present(self, topic: str) -> tuple[Place, int]:
        """Return the present end of a log, and its length."""
        try:
            info: Any = self._client.xinfo_stream(self._client.own_keys.log(topic))
        except redis.ResponseError as exc:
            if "no such key" in str(exc) or is_of_another_type(exc):
                return Place(0, (0, 0)), 0  # there is no log yet, or none that can be published to
            raise
        count = info.get("entries-added", self._own[topic])  # Redis 6 does not tell; then the events of others are not counted
        return Place(int(count), _order(info["last-generated-id"])), int(info["length"])

    def _reached(self, topic: str) -> tuple[int, int]:
        """Return the id of the last event that the reader has taken; one above all others if it does not read the topic."""
        topics = self._position.read()
        if topics is None:
            return (0, 0)
        if topic in topics:
            return _order(topics[topic])
        return (0, 0) if any(is_pattern(name) and Glob(name).matches(topic) for name in topics) else (1 << 64, 0)


def _order(event_id: str | bytes) -> tuple[int, int]:
    """Return the sort key of an id; that of ``start`` is before all others."""
    text = event_id.decode() if isinstance(event_id, bytes) else event_id
    ms, _, counter = text.partition("@")[0].partition("-")
    return (int(ms), int(counter)) if ms.isdecimal() and counter.isdecimal() else (0, 0)
