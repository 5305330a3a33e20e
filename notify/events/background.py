"""Publishing without waiting: events are put in a queue and sent in batches by a thread."""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

import msgspec
import redis

from notify.errors import (
    ClosedError,
    PublisherFullError,
    ServerError,
    ServerRefusedError,
    ServerUnreachableError,
    SettingsError,
    SubscriptionError,
)
from notify.events.event import Event, Failure, encode
from notify.events.publisher import retain_ms
from notify.events.scripts import EventScripts, Item
from notify.events.strict_json import Json
from notify.events.topic import check_topic
from notify.server import Backoff, Client

__all__ = ["BackgroundPublisher", "WhenFull"]

BATCH: Final = 200
"""Events sent at once; the script that publishes them holds the server for two or three milliseconds."""

WhenFull: TypeAlias = Literal["raise", "block", "drop_oldest"]

log = logging.getLogger(__name__)


class Counters(msgspec.Struct, frozen=True):
    """What became of the events: accepted by `put`, sent, dropped because the queue was full, refused by the server."""

    accepted: int
    sent: int
    dropped: int
    refused: int


class BackgroundPublisher:
    """Publishes in the order of `put`, in a thread, in batches. Made by `Bus.background_publisher`.

    Events may be put before it is started. An outage of the server is ridden out, and so is a server that refuses everybody
    (no memory left, read-only); no batch is published twice within a day. An event that we have no permission for is reported and lost.
    A clean close sends what was accepted.

    Args:
        client: whose server, settings and namespace to use; it opens a connection of its own.
        source: named in the events.
        max_items: events that may wait.
        when_full: what `put` does then: ``raise`` `PublisherFullError`, ``block`` until there is room, or ``drop_oldest``.
    """

    def __init__(self, client: Client, *, source: str, max_items: int = 10_000, when_full: WhenFull = "raise") -> None:
        if max_items < 1:
            raise SettingsError(f"max_items is {max_items!r}: give a whole number above 0")
        if when_full not in get_args(WhenFull):
            raise SettingsError(f"when_full is {when_full!r}: choose one of {', '.join(get_args(WhenFull))}")
        self._scripts = EventScripts(client.clone(name="publisher"))
        self._source = source
        self._max_items = max_items
        self._when_full = when_full
        self._id = secrets.token_hex(8)
        self._batches = 0
        self._items: deque[Item] = deque()
        self._in_hand: list[list[Item]] = []  # the batch that is being sent, in parts
        self._changed = threading.Condition()
        self._backoff = Backoff(log, "the background publisher")
        self._closing = False
        self._giving_up = threading.Event()
        self._accepted = self._sent = self._dropped = self._refused = 0
        self._thread = threading.Thread(target=self._run, name="notify-publisher", daemon=True)

    @property
    def counters(self) -> Counters:
        return Counters(self._accepted, self._sent, self._dropped, self._refused)

    def put(self, topics: str | Sequence[str], contents: Json | Failure | BaseException, *, retain_s: float | None = None) -> None:
        """Accept an event for one topic or several.

        Args:
            topics: a topic, or several: one event each.
            contents: any JSON value, or an error. It is encoded now: what is changed afterwards changes nothing.
            retain_s: as for `Bus.publish`.

        Raises:
            ClosedError: it was closed.
            PublisherFullError: the queue is full, and the policy is ``raise``. Nothing was accepted.
            SubscriptionError: no topic was given.
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was accepted.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        if not names:
            raise SubscriptionError("an event needs a topic: give one, or several")
        told = Failure.of(contents) if isinstance(contents, BaseException) else contents
        lifetime = retain_ms(retain_s)
        limit = self._scripts.client.settings.max_payload_bytes
        items = [
            Item(check_topic(name), encode(Event(topic=name, contents=told, source=self._source), max_bytes=limit), lifetime)
            for name in names
        ]
        with self._changed:
            self._make_room(len(items))
            self._items.extend(items)
            self._accepted += len(items)
            self._changed.notify_all()

    def start(self) -> None:
        """Start sending. May be called again."""
        if self._thread.ident is None:
            self._thread.start()

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Send what was accepted, then stop. May be called again.

        Args:
            timeout_s: how long that may take.

        Raises:
            ServerUnreachableError: some of it could not be sent in time; the message says how much.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.start()  # what was put before the start is sent all the same
        self._thread.join(timeout_s)
        self._giving_up.set()
        while self._thread.is_alive():
            self._scripts.client.connection_pool.disconnect()  # it may wait for an answer much longer than we do
            self._thread.join(0.05)
        self._scripts.client.close()
        left = len(self._items) + sum(map(len, self._in_hand))
        if left:
            self._items.clear()
            self._in_hand.clear()
            raise ServerUnreachableError(
                f"{left} events were accepted and could not be sent to {self._scripts.client.address} in {timeout_s:g} s"
            )

    def __enter__(self) -> "BackgroundPublisher":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_room(self, count: int) -> None:
        """Called with the lock held."""
        while True:
            if self._closing:
                raise ClosedError("this publisher is closed: make another one")
            excess = len(self._items) + count - self._max_items
            if excess <= 0:
                return
            if self._when_full == "raise" or count > self._max_items:
                raise PublisherFullError(
                    f"{len(self._items)} events wait to be sent to {self._scripts.client.address}, the limit is {self._max_items}"
                )
            if self._when_full == "drop_oldest":
                for _ in range(excess):
                    self._items.popleft()
                self._dropped += excess
                return
            self._changed.wait(1.0)

    def _run(self) -> None:
        while not self._giving_up.is_set():
            with self._changed:
                while not self._items and not self._closing:
                    self._changed.wait()
                if not self._items:
                    return
                self._in_hand = [[self._items.popleft() for _ in range(min(BATCH, len(self._items)))]]
                self._changed.notify_all()
            self._send()

    def _send(self) -> None:
        """Send the batch in hand. A part that holds something that is not permitted is halved, until that stands alone."""
        while self._in_hand:
            part = self._in_hand[0]
            self._batches += 1
            try:
                refused = self._publish(part)
            except ServerRefusedError as exc:
                if len(part) > 1:
                    middle = len(part) // 2
                    self._in_hand[:1] = [part[:middle], part[middle:]]
                    continue
                refused = [(0, str(exc))]
            if refused is None:
                return
            for index, problem in refused:
                log.error("an event for %r was refused and is lost: %s", part[index].topic, problem)
            self._refused += len(refused)
            self._sent += len(part) - len(refused)
            del self._in_hand[0]

    def _publish(self, part: list[Item]) -> list[tuple[int, str]] | None:
        """Publish, however long the server is away, or refuses everybody. Returns what was refused, ``None`` when we give up.

        Raises:
            ServerRefusedError: we are not permitted to, and waiting would change nothing.
        """
        while not self._giving_up.is_set():
            try:
                refused = self._scripts.publish_many(self._id, self._batches, part)
            except ServerError as exc:
                if isinstance(exc.__cause__, redis.exceptions.NoPermissionError):
                    self._backoff.over()
                    raise
                level = logging.ERROR if isinstance(exc, ServerRefusedError) else logging.WARNING
                queued = sum(map(len, self._in_hand)) + len(self._items)
                self._giving_up.wait(self._backoff.failed(f"{exc}; {queued} events are queued", level=level))
            else:
                self._backoff.over()
                return refused
        return None
