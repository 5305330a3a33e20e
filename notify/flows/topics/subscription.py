"""`subscribe_to`: a source of the events of topics, from a position that outlives the process."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from notify.errors import ClosedError, WiringError
from notify.events import Event, EventBus, Gap, Subscribable, Subscriber, check_topics, flat_topics
from notify.flows.items import Mark
from notify.flows.protocol import Context, Source
from notify.flows.topics.position import StoredPosition
from notify.flows.topics.publishing import Target
from notify.keys import SERVICES_TOPIC
from notify.service import Backplane

__all__ = ["subscribe_to"]

WAIT_S: Final = 0.25
"""The longest wait for an event; the source marks its position so often, if events come."""
MARK_EVENTS: Final = 1_000
"""After so many events the source marks its position at the latest, and after a tenth of the log: a publisher may wait for it."""


def subscribe_to(
    target: Target,
    *topics: Subscribable,
    since: Mapping[str, str] | str | None = None,
    position: str | None = None,
    exclude_own: bool = False,
) -> Source:
    """Return a source of the events of topics, each an `Event`; a `Gap` stands where events are lost for good.

    The subscription is live when the flow has started. The filter `contents` takes the contents out of the events.

    Args:
        target: a bus, or a backplane in place of bus and topics: then the source ends when the backplane is closed.
        topics: names, patterns and message classes, as for `Bus.subscribe`.
        since: where to begin, as for `Bus.subscribe`; by default with new events.
        position: a name under which the position is stored in Redis when the ends of the flow have taken an event. The next flow with that
            name goes on there, whatever ended this one: it gets every event at least once, the last ones perhaps again. ``since`` holds for
            the first one. Only one flow at a time may use the name. It is forgotten 30 days after its last use.
        exclude_own: leave out what was published by this bus, or another one with its name.

    Raises:
        EmptySubscriptionError, InvalidTopicError: the topics cannot be subscribed to.
        WiringError: the name of the position is empty, or a backplane was given with topics.
    """
    if position is not None and (not isinstance(position, str) or not position):
        raise WiringError(f"the name of a position is {position!r}: give a text")
    if isinstance(target, Backplane):
        if topics:
            raise WiringError(f"{target!r} is its own topic: leave out {topics!r}")
        since = {target.topic: since} if isinstance(since, str) else since
        return SubscribeTo(target.bus, [target.topic, SERVICES_TOPIC], since, position, exclude_own, target)
    flat = flat_topics(*topics)
    check_topics([topic for topic in flat if not isinstance(topic, type)] or [topic.__name__ for topic in flat])
    return SubscribeTo(target, flat, since, position, exclude_own, None)


class SubscribeTo(Source):
    """The source that `subscribe_to` returns, which has the description."""

    def __init__(
        self,
        bus: EventBus,
        topics: list[Any],
        since: Mapping[str, str] | str | None,
        position: str | None,
        exclude_own: bool,
        backplane: Backplane | None,
    ) -> None:
        self._bus, self._topics, self._since, self._backplane = bus, topics, since, backplane
        self._own = bus.name if exclude_own else None
        self._position = StoredPosition(bus.redis, position) if position is not None else None
        self._subscriber: Subscriber | None = None
        self._marked: dict[str, str] = {}
        self._marked_at = 0.0
        self._stopping = threading.Event()

    def open(self, context: Context) -> None:
        if self._subscriber is not None:
            raise ClosedError(f"the subscription to {', '.join(self._subscriber.topics)} was in a flow before: make another one")
        stored = self._position.read() if self._position is not None else None
        self._subscriber = self._bus.subscribe(*self._topics, since=self._since if stored is None else stored)
        self._marked = self._positions(self._subscriber)
        if self._position is not None:
            self._position.open(self._marked if stored is None else {**self._marked, **stored})

    def __iter__(self) -> Iterator[Any]:
        subscriber = self._subscriber
        if subscriber is None:
            raise ClosedError("the source is not open: run it in a flow")
        unmarked, mark_after = 0, min(MARK_EVENTS, self._bus.settings.log_length // 10)
        while not self._stopping.is_set():
            item = self._get(subscriber, WAIT_S)
            if self._ends(item):
                yield from self._rest(subscriber)
                break
            yield self._shown(item)
            unmarked += 1
            if self._position is not None and (unmarked >= mark_after or time.monotonic() - self._marked_at >= WAIT_S):
                unmarked = 0
                yield self._mark(subscriber)
        yield self._mark(subscriber)

    def stop(self) -> None:
        self._stopping.set()
        if self._subscriber is not None:
            self._subscriber.close()  # ends a `get` that waits

    def commit(self, position: Any) -> None:
        if self._position is not None:
            self._position.commit(position)

    def close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.close()
        if self._position is not None:
            self._position.close()

    def _get(self, subscriber: Subscriber, timeout_s: float) -> Event | Gap | None:
        try:
            return subscriber.get(timeout_s)
        except ClosedError:  # by `stop`, or the bus was closed
            self._stopping.set()
            return None

    def _rest(self, subscriber: Subscriber) -> Iterator[Any]:
        """Yield the events that came before the end of the backplane."""
        while (item := self._get(subscriber, 0.0)) is not None:
            yield self._shown(item)

    def _shown(self, item: Event | Gap | None) -> Event | Gap | None:
        """Return an item of the subscription, or ``None`` for one that is left out."""
        if item is None or (self._backplane is not None and item.topic != self._backplane.topic):
            return None
        return None if self._own is not None and isinstance(item, Event) and item.source == self._own else item

    def _ends(self, item: Event | Gap | None) -> bool:
        return item is not None and self._backplane is not None and self._backplane.was_closed(item)

    def _positions(self, subscriber: Subscriber) -> dict[str, str]:
        """Return the positions, without that of the topic which tells of the end of the backplane."""
        positions = subscriber.positions
        return positions if self._backplane is None else {self._backplane.topic: positions[self._backplane.topic]}

    def _mark(self, subscriber: Subscriber) -> Mark | None:
        """Return a mark if the position is stored, and has changed since the last mark."""
        self._marked_at, positions = time.monotonic(), self._positions(subscriber)
        if self._position is None or positions == self._marked:
            return None
        self._marked = positions
        return Mark(positions)
