"""The subscriber: receives events through pub/sub, and reads missed events from the log of the topic.

Every event in a log contains the id of the event before it. If the subscriber has not delivered that event, it reads the missing
events from the log. The subscriber also compares its positions with the logs: all of them after a reconnect; every five seconds those
of the topics that had an event meanwhile, and a few others in turn. Events that the log no longer holds become one `Gap`. Position and
epoch work as in the recovery of Centrifugo.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import redis

from notify.errors import ClosedError, ContentsError, ServerError
from notify.events import pubsub
from notify.events.client_name import name_with_channels
from notify.events.decoder import MessageDecoder
from notify.events.event import Event, Gap, decode_direct
from notify.events.message import Message, message_topic
from notify.events.positions import START, MissedEvents, Positions, check_since, position_after, since_by_topic
from notify.events.pubsub import PubSubConnection, PubSubMessage
from notify.events.scripts import EventScripts
from notify.events.topic import Glob, check_topics, is_pattern
from notify.history import Counter, field_of
from notify.process import is_traced
from notify.server import Client

__all__ = ["Subscriber"]

WAIT_S: Final = 1.0
"""The longest single wait of `Subscriber.get` for a message."""
REPAIR_AFTER_S: Final = 5.0
"""Time between two comparisons with the log. If pub/sub loses the last event of a topic, no later event reveals that."""
AT_ONCE: Final = 200
"""So many topics of patterns are compared each time: an idle subscriber to thousands of topics must not load the server."""

log = logging.getLogger(__name__)


class Subscriber:
    """Receives the events of topics: iterate, or call `get`, for each `Event`, and for a `Gap` where events are lost for good.

    The subscription is live when the constructor returns. Retained events come first. A subscriber has no thread: the thread that
    calls `get` reads from the connection. If the thread is too slow, the server closes the connection when its output buffer is full,
    and the subscriber reads the missed events from the log. During an outage of the server `get` waits, and then continues with
    the missed events.

    Args:
        client: the server, the settings and the namespace to use; the subscriber opens a connection of its own.
        topics: topic names, glob patterns, and message classes: contents on the topic of a class become its instances.
        since: where to begin: the id of an event (with one topic), `START` for all events in the logs, or an id for each
            topic as `positions` returns them. Without it the subscriber begins with new events.
        name: the name of the subscriber in ``CLIENT LIST`` and in a `Demand`.
        takes_direct: whether to receive events that are sent to ``name`` only as well, if they are on one of the topics.
        shares_client: whether its commands, which read logs, go over the connections of ``client``.
        is_pulled: whether a program calls `get`: then a span of OpenTelemetry is recorded for each event that it gets, if it is traced.

    Raises:
        EmptySubscriptionError, InvalidTopicError: no topic was given, or one cannot be subscribed to.
        ContentsError: a class is not a message class, has no topic, or has the same topic as another class.
        InvalidPositionError: ``since`` is not a position, or is one id for several topics.
        ServerUnreachableError, ServerRefusedError: the first connection failed.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str | type[Message]],
        *,
        since: Mapping[str, str] | str | None = None,
        name: str = "subscriber",
        takes_direct: bool = False,
        shares_client: bool = False,
        is_pulled: bool = False,
    ) -> None:
        classes = [topic for topic in topics if isinstance(topic, type)]
        names = check_topics([message_topic(topic) if isinstance(topic, type) else topic for topic in topics])
        since = check_since(since, names)
        self.topics = tuple(names)
        """The topics and patterns that it is subscribed to."""
        self._exact = {topic for topic in names if not is_pattern(topic)}
        self._patterns = {topic: Glob(topic) for topic in names if is_pattern(topic)}
        self._keys = client.own_keys
        # A server that hangs is detected while a log is read as fast as on the pub/sub connection.
        timeout_s = min(client.settings.command_timeout_s, pubsub.PROBE_TIMEOUT_S)
        self._client = client.clone(name=name_with_channels(name, map(self._keys.channel, names)), timeout_s=timeout_s)
        self._scripts = EventScripts(client if shares_client else self._client)
        self._positions = Positions(self._scripts)
        self._counter = Counter(self._scripts.client)
        self._returned_positions: dict[str, str] = {}
        self._ready: deque[Event | Gap] = deque()
        self._closing, self._reading = threading.Event(), threading.RLock()
        self._repaired_at = time.monotonic()
        self._retained_left, self._known_until_ms, self._must_repair = 0, 0, since is not None
        self._topic_names: dict[tuple[bytes, bytes | None], str | None] = {}
        self._decoder = MessageDecoder(classes, log=log, name=repr(self))
        self._has_classes, self._is_pulled = bool(classes), is_pulled
        self._missed = MissedEvents(self._positions, self._decoder.skip)
        # Before the topics: a publisher that sees this subscriber in a `Demand` can reach it.
        direct = [self._keys.direct_channel(name)] if takes_direct else []
        self._direct_channel = direct[0].encode() if direct else None
        channels = [*direct, *map(self._keys.channel, self._exact)]
        self._pubsub = PubSubConnection(self._client, channels, [self._keys.channel(p) for p in self._patterns], name=repr(self))
        try:
            with self._client.translating("subscribing"):
                self._start(since)
        except BaseException:
            self.close()
            raise

    def get(self, timeout_s: float | None = None) -> Event | Gap | None:
        """Return the next event or gap.

        Args:
            timeout_s: seconds to wait; ``0`` returns at once, ``None`` waits without limit.

        Returns:
            The event or gap; ``None`` if none came in time, or another thread closed the subscriber.

        Raises:
            ClosedError: the subscriber is closed.
        """
        if self._closing.is_set():
            self.check_open()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            while not self._closing.is_set():
                left_s = WAIT_S if deadline is None else max(0.0, min(WAIT_S, deadline - time.monotonic()))
                if self._ready or self._missed:
                    item = self._take(left_s)
                    if item is not None:
                        return item
                    continue
                has_read = self._receive(left_s)
                if not (has_read or self._ready or self._missed) and deadline is not None and time.monotonic() >= deadline:
                    return None
            return None

    @property
    def skipped(self) -> int:
        """How many events were skipped because they could not be decoded."""
        return self._decoder.skipped

    def check_open(self) -> None:
        """Raise `ClosedError` if the subscriber is closed."""
        if self._closing.is_set():
            raise ClosedError(f"{self!r} is closed: subscribe again")

    @property
    def positions(self) -> dict[str, str]:
        """Topic → id of the last event that `get` returned. A later subscription with these positions as ``since`` continues after them.

        The position of a topic without an event is `START`. So is that of a pattern: it applies to topics that are created before the
        next subscription.
        A program that stores the positions after it has processed an event receives every event at least once, even if it crashes.
        """
        return {**dict.fromkeys(self._patterns, START), **self._returned_positions}

    def __iter__(self) -> Iterator[Event | Gap]:
        """Yield events and gaps until the subscriber is closed."""
        while not self._closing.is_set():
            try:
                item = self.get()
            except ClosedError:
                return  # another thread has closed the subscriber since the check above
            if item is not None:
                yield item

    def close(self) -> bool:
        """End the subscription. A `get` that waits in another thread returns ``None``. Returns ``False`` if it has ended already."""
        was_open = not self._closing.is_set()
        self._closing.set()
        self._pubsub.interrupt()
        with self._reading:
            self._counter.send()
            self._pubsub.close()
            self._client.close()
        return was_open

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscriber to {', '.join([*sorted(self._exact), *self._patterns])}>"

    def _start(self, since: Mapping[str, str] | str | None) -> None:
        early = self._pubsub.open()
        # The subscription is live from here on. Events that were published before count as delivered, except for the retained events.
        topics = self._topics(since_ms=0)
        self._ready.extend(self._positions.start(topics, since=since_by_topic(since, topics, self._pattern_of)))
        self._retained_left = len(self._ready)
        self._returned_positions = self._positions.ids()
        for message in early:
            self._accept(message)

    def _topics(self, *, since_ms: float) -> list[str]:
        """Return the topics that are subscribed to by name, and those that match a pattern and had an event since a time of the server."""
        if not self._patterns:
            return sorted(self._exact)
        known, self._known_until_ms = self._scripts.topics_since(since_ms)
        return sorted({*self._exact, *(topic for topic in known if self._pattern_of(topic))})

    def _pattern_of(self, topic: str) -> str | None:
        """Return the first pattern that matches a topic. An event that arrives through several patterns is delivered for this one only."""
        return next((pattern for pattern, glob in self._patterns.items() if glob.matches(topic)), None)

    def _receive(self, timeout_s: float) -> bool:
        """Read at most one message, and compare with the logs if that is due. Returns whether there was a message."""
        try:
            message = self._pubsub.receive(0.0 if self._must_repair else timeout_s)
            if self._closing.is_set():
                return False
            if message is not None:
                self._accept(message)
            self._counter.send_due()
            if self._must_repair or self._pubsub.resumed or time.monotonic() - self._repaired_at >= REPAIR_AFTER_S:
                self._repair()
            return message is not None
        except (redis.RedisError, ServerError, OSError) as exc:
            self._pubsub.pause(exc, at_most_s=timeout_s)
            return False

    def _accept(self, message: PubSubMessage) -> None:
        """Queue the event of a message, or the missing events if some before it are missing."""
        if message.channel == self._direct_channel:
            event = decode_direct(message.payload)
            if event is not None and (event.topic in self._exact or self._pattern_of(event.topic)):
                self._ready.append(event)
            return
        place = message.channel, message.pattern
        topic = self._topic_names.get(place, "")
        if topic == "":
            topic = self._topic_names[place] = self._topic_of(*place)
        if topic is None:
            return
        try:
            items = self._positions.deliver(topic, message.payload)
        except ContentsError as exc:
            self._decoder.skip(topic, exc)
            return
        if isinstance(items, tuple):
            self._ready.extend(items)
        else:
            self._missed.add(topic, items)

    def _topic_of(self, channel: bytes, pattern: bytes | None) -> str | None:
        """Return the topic of a message; ``None`` if its event also arrives by the name of the topic, or through an earlier pattern."""
        topic = self._keys.topic_of(channel.decode(errors="replace"))
        first = self._pattern_of(topic)
        is_first = topic not in self._exact and (first is None or pattern == self._keys.channel(first).encode())
        return topic if pattern is None or is_first else None

    def _repair(self) -> None:
        """Compare positions with the logs, and queue the missed events.

        After a reconnect all positions are compared. Otherwise a topic without a new event needs no comparison, except that its log may
        have been deleted, which is noticed in the turn of the topic. So is a lost last event where very many topics are busy.
        """
        if self._must_repair or self._pubsub.resumed or not self._patterns:
            topics = self._topics(since_ms=0)
        else:
            recent = self._topics(since_ms=self._known_until_ms)
            topics = sorted({*self._exact, *self._positions.in_turn(recent, AT_ONCE)})
        for topic in self._positions.topics_to_repair(topics):
            self._missed.add(topic)
        self._must_repair, self._repaired_at = False, time.monotonic()
        self._pubsub.recovered()

    def _take(self, timeout_s: float) -> Event | Gap | None:
        """Return the next queued item; ``None`` if there is none, or if it cannot be decoded and is skipped."""
        item = self._ready.popleft() if self._ready else self._catch_up(timeout_s)
        if item is None:
            return None
        if self._retained_left or isinstance(item, Gap) or item.id is None:
            self._returned_positions[item.topic] = position_after(item, self._returned_positions.get(item.topic, START))
            self._retained_left = max(0, self._retained_left - 1)
            if isinstance(item, Gap):
                self._counter.count(field_of("topic gaps", item.topic))
        else:
            self._returned_positions[item.topic] = item.id
        if self._is_pulled and is_traced() and isinstance(item, Event):
            item.note_receipt()
        return self._decoder.decode(item) if self._has_classes else item

    def _catch_up(self, timeout_s: float) -> Event | Gap | None:
        """Return the next missed item, read from the log; ``None`` if there is none, or if reading failed."""
        try:
            return self._missed.next()
        except (redis.RedisError, ServerError, OSError) as exc:
            self._missed.clear()
            self._must_repair = True  # from the position that was reached
            self._pubsub.pause(exc, at_most_s=timeout_s)
            return None
