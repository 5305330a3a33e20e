"""Receiving events: live by pub/sub, complete by the log.

Pub/sub only wakes. Every event names the one before it; where that is not the one delivered last, and after every
reconnect, and when it was quiet for a while, the subscriber reads what is missing from the topic's log. What the log
does not hold any more becomes one `Gap`. The idea of position and epoch is that of Centrifugo's recovery.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import redis

from notify.errors import ClosedError, ContentsError, ServerError
from notify.events import pubsub as reception
from notify.events.client_name import name_with_channels
from notify.events.event import Event, Gap
from notify.events.message import Message, classes_by_topic, message_topic
from notify.events.positions import START, Positions, check_since, position_after
from notify.events.pubsub import PubSubConnection, PubSubMessage
from notify.events.scripts import EventScripts
from notify.events.topic import Glob, check_topics, is_pattern
from notify.keys import Keys
from notify.server import Client

__all__ = ["Subscriber"]

WAIT_S: Final = 1.0
"""How long it listens before it looks after the connection."""
REPAIR_AFTER_S: Final = 5.0
"""How often the log is compared in any case: pub/sub may have lost the last event of a topic, and no later one would tell."""

log = logging.getLogger(__name__)


class Subscriber:
    """Iterate it, or call `get`: each yields an `Event`, or a `Gap` where events are missing for good.

    It is live when the constructor returns. Retained events come first. It has no thread: whoever calls `get` does the
    reading. One that reads slowly is cut off by the server when its buffer is full, and repairs from the log.
    An outage of the server is ridden out: `get` waits, then goes on with what was missed.

    Args:
        client: whose server, settings and namespace to use; the subscriber opens a connection of its own.
        topics: topic names, glob patterns, and message classes: those make the contents of their topic instances.
        since: where to begin: the id of an event (with one topic), `START` for all that the logs hold, or an id per
            topic as `positions` gives them. Without it: with what comes.
        name: what ``CLIENT LIST`` shows, with the topics, and a `Demand` tells.
        probe_after_s: silence after which the server is asked whether it is still there: by default a second, so that one that
            hangs is noticed within three. Who looks after it elsewhere can ask more seldom.

    Raises:
        EmptySubscriptionError: no topic was given.
        InvalidTopicError: a topic cannot be subscribed to.
        ContentsError: a class is no message class, or has no topic, or another class has the same one.
        InvalidPositionError: ``since`` is no position, or one id for several topics.
        ServerUnreachableError, ServerRefusedError: the first connection failed.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str | type[Message]],
        *,
        since: Mapping[str, str] | str | None = None,
        name: str = "subscriber",
        probe_after_s: float | None = None,
    ) -> None:
        self._classes = classes_by_topic([topic for topic in topics if isinstance(topic, type)])
        names = check_topics([message_topic(topic) if isinstance(topic, type) else topic for topic in topics])
        since = check_since(since, names)
        self._exact = {topic for topic in names if not is_pattern(topic)}
        self._patterns = {topic: Glob(topic) for topic in names if is_pattern(topic)}
        self._keys = Keys(client.settings.namespace)
        # A server that hangs is to be noticed as soon on this connection, when a log is read, as on that of the reception.
        patience_s = min(client.settings.command_timeout_s, reception.PROBE_TIMEOUT_S)
        self._client = client.clone(name=name_with_channels(name, map(self._keys.channel, names)), timeout_s=patience_s)
        self._scripts = EventScripts(self._client)
        self._positions = Positions(self._scripts)
        self._taken: dict[str, str] = {}
        self._ready: deque[Event | Gap] = deque()
        self._missed: deque[Iterator[Event | Gap]] = deque()
        self._retained = 0
        self._closing = threading.Event()
        self._reading = threading.RLock()
        self._repaired_at = time.monotonic()
        self._must_repair = since is not None
        self._told: set[str] = set()
        self._topic_names: dict[bytes, str] = {}
        self.skipped = 0
        """How many messages could not be read and were passed over."""
        channels = [self._keys.channel(topic) for topic in self._exact]
        self._reception = PubSubConnection(
            self._client, channels, [self._keys.channel(p) for p in self._patterns], name=repr(self), probe_after_s=probe_after_s
        )
        try:
            with self._client.translating("subscribing"):
                self._start(since)
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
            while not self._closing.is_set():
                left_s = WAIT_S if deadline is None else max(0.0, min(WAIT_S, deadline - time.monotonic()))
                if self._ready or self._missed:
                    item = self._take(left_s)
                    if item is not None:
                        return item
                    continue
                heard = self._receive(left_s)
                if not (heard or self._ready or self._missed) and deadline is not None and time.monotonic() >= deadline:
                    return None
            return None

    @property
    def positions(self) -> dict[str, str]:
        """Topic → id of the last event that `get` returned. Stored, and given as ``since`` another time, it goes on from there.

        A topic without an event, and a pattern, for the topics that are born while nobody listens, stand at `START`.

        Who stores them after dealing with each event sees every event at least once, also when it falls in between.
        """
        return {**dict.fromkeys(self._patterns, START), **self._taken}

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
        self._reception.interrupt()
        with self._reading:
            self._reception.close()
            self._client.close()

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscriber to {', '.join([*sorted(self._exact), *self._patterns])}>"

    def _start(self, since: Mapping[str, str] | str | None) -> None:
        early = self._reception.open()
        # Live from here on. What was published before counts as seen, but for what is retained.
        topics = self._topics()
        self._ready.extend(self._positions.start(topics, since=self._since_each(since, topics)))
        self._retained = len(self._ready)
        self._taken = self._positions.ids()
        for tidings in early:
            self._accept(tidings)

    def _since_each(self, since: Mapping[str, str] | str | None, topics: Sequence[str]) -> Mapping[str, str]:
        """Where to begin, topic by topic; one that is not named begins where its pattern does."""
        if isinstance(since, str):
            return dict.fromkeys(topics, since)
        named = since or {}
        wanted = {topic: named.get(topic) or named.get(self._pattern_of(topic) or topic) for topic in topics}
        return {topic: position for topic, position in wanted.items() if position is not None}

    def _topics(self) -> list[str]:
        """The topics subscribed to by name, and the known ones that match a pattern."""
        known = self._scripts.topics() if self._patterns else []
        return sorted({*self._exact, *(topic for topic in known if self._pattern_of(topic))})

    def _pattern_of(self, topic: str) -> str | None:
        """The first pattern that matches: an event that comes through several counts once."""
        return next((pattern for pattern, glob in self._patterns.items() if glob.matches(topic)), None)

    def _receive(self, timeout_s: float) -> bool:
        """Read at most one message, and repair what is due. Returns whether there was a message."""
        try:
            tidings = self._reception.receive(0.0 if self._must_repair else timeout_s)
            if self._closing.is_set():
                return False
            if tidings is not None:
                self._accept(tidings)
            due = time.monotonic() - self._repaired_at >= REPAIR_AFTER_S
            if due or self._must_repair or self._reception.resumed:
                self._repair()
            return tidings is not None
        except (redis.RedisError, ServerError, OSError) as exc:
            self._reception.pause(exc, at_most_s=timeout_s)
            return False

    def _accept(self, tidings: PubSubMessage) -> None:
        topic = self._topic_names.get(tidings.channel)
        if topic is None:
            topic = self._topic_names[tidings.channel] = self._keys.topic_of(tidings.channel.decode(errors="replace"))
        if tidings.pattern is not None and self._comes_otherwise(topic, tidings.pattern):
            return
        try:
            led_to = self._positions.deliver(topic, tidings.payload)
        except ContentsError as exc:
            self._skip(topic, exc)
            return
        if isinstance(led_to, tuple):
            self._ready.extend(led_to)
        else:
            self._missed.append(led_to)

    def _comes_otherwise(self, topic: str, pattern_channel: bytes) -> bool:
        """Whether the same event comes by name, or through a pattern before this one."""
        first = self._pattern_of(topic)
        return topic in self._exact or (first is not None and pattern_channel.decode() != self._keys.channel(first))

    def _repair(self) -> None:
        # Read page by page as it is taken: a long log does not fill the memory.
        self._missed.extend(self._positions.repair(topic) for topic in self._positions.moved(self._topics()))
        self._must_repair, self._repaired_at = False, time.monotonic()
        self._reception.recovered()

    def _take(self, patience_s: float) -> Event | Gap | None:
        """The next item that is ready, or was missed; ``None`` if there was none after all, or it is one to pass over."""
        item = self._ready.popleft() if self._ready else self._catch_up(patience_s)
        if item is None:
            return None
        if self._retained or isinstance(item, Gap) or item.id is None:
            self._taken[item.topic] = position_after(item, self._taken.get(item.topic, START))
            self._retained = max(0, self._retained - 1)
        else:
            self._taken[item.topic] = item.id
        cls = self._classes.get(item.topic)
        if cls is None or isinstance(item, Gap):
            return item
        try:
            return msgspec.structs.replace(item, contents=cls.from_contents(item.contents))
        except ContentsError as exc:
            self._skip(item.topic, exc)
            return None

    def _catch_up(self, patience_s: float) -> Event | Gap | None:
        """The next item of what was missed, read from the log."""
        try:
            item = next(self._missed[0], None)
        except (redis.RedisError, ServerError, OSError) as exc:
            self._missed.clear()
            self._must_repair = True  # from where it got stuck
            self._reception.pause(exc, at_most_s=patience_s)
            return None
        if item is None:
            self._missed.popleft()
        return item

    def _skip(self, topic: str, problem: ContentsError) -> None:
        """Pass over what cannot be read: counted each time, told the first time."""
        self.skipped += 1
        if topic not in self._told:
            self._told.add(topic)
            log.error("%r passes over what it cannot read: %s", self, problem)
