"""Background publishing: events are put into a queue, and a thread sends them in batches."""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec
import redis

from notify.errors import ClosedError, PublisherFullError, ServerError, ServerRefusedError, ServerUnreachableError
from notify.events.event import Event
from notify.events.overflow import PUBLISHER_POLICIES, WhenPublisherFull, check_overflow
from notify.events.publisher import Contents, contents_of, item_of, retain_ms
from notify.events.scripts import EventScripts, Item
from notify.events.topic import check_each
from notify.server import Backoff, Client

__all__ = ["BATCH", "BATCH_BYTES", "BackgroundPublisher", "BatchSender"]

BATCH: Final = 200
"""The most events of a batch. The script that publishes them blocks the server for two or three milliseconds."""
BATCH_BYTES: Final = 256 * 1024
"""A batch ends with the event that reaches this size. The server takes about a millisecond for an event of 64 KiB."""

log = logging.getLogger(__name__)


class Counters(msgspec.Struct, frozen=True):
    """Numbers of events: accepted by `put`, sent, dropped because the queue was full, and refused by the server."""

    accepted: int
    sent: int
    dropped: int
    refused: int


class BatchSender:
    """Publishes batches of events, in order. A batch is sent until it is answered, and none is published twice within a day.

    Args:
        scripts: the event scripts of the server.
        name: the name of the publisher in the log.
        wait: called with the seconds before the next attempt; returns whether to give up.
        queued: returns how many further events wait, for the log.
    """

    def __init__(self, scripts: EventScripts, *, name: str, wait: Callable[[float], bool], queued: Callable[[], int] = lambda: 0) -> None:
        self._scripts, self._wait, self._queued = scripts, wait, queued
        self._id = secrets.token_hex(8)
        self._batches = 0
        self._backoff = Backoff(log, name)
        self._unsent: list[list[Item]] = []  # the batch that is being sent, in parts

    @property
    def unsent(self) -> int:
        """How many events of the present batch are not sent; those of the last batch if it was given up."""
        return sum(map(len, self._unsent))

    def send(self, batch: list[Item]) -> list[tuple[Item, str]]:
        """Send a batch. If the server refuses a part as a whole, its halves are sent, down to single events.

        Returns:
            The events that the server refused, each with its error message. `unsent` is above 0 if sending was given up.
        """
        self._unsent = [batch]
        all_refused: list[tuple[Item, str]] = []
        while self._unsent:
            part = self._unsent[0]
            self._batches += 1
            try:
                refused = self._publish(part)
            except ServerRefusedError as exc:
                if len(part) > 1:
                    middle = len(part) // 2
                    self._unsent[:1] = [part[:middle], part[middle:]]
                    continue
                refused = [(0, str(exc))]
            if refused is None:
                break
            all_refused += [(part[index], problem) for index, problem in refused]
            del self._unsent[0]
        return all_refused

    def _publish(self, part: list[Item]) -> list[tuple[int, str]] | None:
        """Publish a part of a batch. The call is repeated while the server is unreachable or refuses it.

        Returns:
            Index and error message of each event that was refused; ``None`` if sending is given up.

        Raises:
            ServerRefusedError: the Redis user has no permission, so repeating the call is useless.
        """
        while not self._wait(0):
            try:
                refused = self._scripts.publish_many(self._id, self._batches, part)
            except ServerError as exc:
                if isinstance(exc.__cause__, redis.exceptions.NoPermissionError):
                    self._backoff.over()
                    raise
                level = logging.ERROR if isinstance(exc, ServerRefusedError) else logging.WARNING
                self._wait(self._backoff.failed(f"{exc}; {self.unsent + self._queued()} events are queued", level=level))
            else:
                self._backoff.over()
                return refused
        return None


class BackgroundPublisher:
    """Publishes events in the order of `put`, in a thread, in batches. Made by `Bus.background_publisher`.

    `put` may be called before `start`. While the server is unreachable, out of memory or read-only, the events wait. A batch is
    sent again if its answer was lost, but is not published twice within a day. An event for which the Redis user has no
    permission is logged and lost. `close` sends the events that were accepted.

    Args:
        client: the server, the settings and the namespace to use; the publisher opens a connection of its own.
        source: the source of the events.
        max_items: events that may wait to be sent.
        when_full: what `put` does when ``max_items`` events wait: ``raise`` `PublisherFullError`, ``block`` until there is room,
            or ``drop_oldest``.
    """

    def __init__(self, client: Client, *, source: str, max_items: int = 10_000, when_full: WhenPublisherFull = "raise") -> None:
        check_overflow(max_items, when_full, PUBLISHER_POLICIES)
        self._parent = client
        self._scripts = EventScripts(client.clone(name="publisher"))
        self._source = source
        self._max_items = max_items
        self._when_full = when_full
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closing = self._closed = False
        self._giving_up = threading.Event()
        self._sender = self._new_sender()
        self._accepted = self._sent = self._dropped = self._refused = 0
        self._thread: threading.Thread | None = None

    @property
    def counters(self) -> Counters:
        """The numbers of events so far."""
        return Counters(self._accepted, self._sent, self._dropped, self._refused)

    @property
    def is_closed(self) -> bool:
        """Whether `close` has sent the accepted events, or given them up."""
        return self._closed

    def put(self, topics: str | Collection[str], contents: Contents = msgspec.UNSET, *, retain_s: float | None = None) -> None:
        """Add an event for one topic, or one for each of several topics, to the queue.

        Args:
            topics: a topic, or several topics.
            contents: any JSON value, or an error. It is encoded at once: later changes to the value have no effect.
            retain_s: as for `Bus.publish`.

        Raises:
            ClosedError: the publisher is closed.
            PublisherFullError: the queue is full and the policy is ``raise``, or there are more topics than ``max_items``. Nothing
                was accepted.
            SubscriptionError: no topic was given.
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was accepted.
        """
        names = check_each(topics)
        value = contents_of(names[0], contents)
        lifetime = retain_ms(retain_s)
        limit = self._scripts.client.settings.max_payload_bytes
        events = [Event(topic=name, contents=value, source=self._source) for name in names]
        items = [item_of(event, max_bytes=limit, retain_ms=lifetime) for event in events]
        with self._changed:
            self._make_room(len(items))
            self._items.extend(items)
            self._accepted += len(items)
            self._changed.notify_all()

    def start(self) -> bool:
        """Start the thread that sends. A closed publisher is opened again. Returns ``False`` if the thread was started already.

        Raises:
            ClosedError: the publisher is closed, and so is its bus.
        """
        with self._changed:
            if self._closed:
                self._parent.check_open()
                self._scripts = EventScripts(self._parent.clone(name="publisher"))
                self._giving_up = threading.Event()
                self._sender = self._new_sender()
                self._closing = self._closed = False
            elif self._thread is not None:
                return False
            self._thread = self._start_thread()
        return True

    def _new_sender(self) -> BatchSender:
        return BatchSender(self._scripts, name="the background publisher", wait=self._giving_up.wait, queued=lambda: len(self._items))

    def _start_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="notify-publisher", daemon=True)
        thread.start()
        return thread

    def stop_blocking(self) -> None:
        """From now on `put` raises `PublisherFullError` where it would wait for room. Calls that wait already raise it too."""
        with self._changed:
            if self._when_full == "block":
                self._when_full = "raise"
            self._changed.notify_all()

    def close(self, *, timeout_s: float = 10.0) -> bool:
        """Send the accepted events, then stop.

        Args:
            timeout_s: seconds to wait for the server.

        Returns:
            ``False`` if the publisher is closed already.

        Raises:
            ServerUnreachableError: some events could not be sent in time; the message says how many.
        """
        with self._changed:
            if self._closed:
                return False
            self._closing = True
            # Events that were put before `start` are sent as well.
            self._thread = thread = self._thread or self._start_thread()
            self._changed.notify_all()
        thread.join(timeout_s)
        self._giving_up.set()
        while thread.is_alive():
            self._scripts.client.connection_pool.disconnect()  # otherwise the thread may wait for an answer for much longer
            thread.join(0.05)
        self._scripts.client.close()
        unsent = len(self._items) + self._sender.unsent
        self._items.clear()
        with self._changed:
            self._closed = True
        if unsent:
            raise ServerUnreachableError(
                f"{unsent} accepted events could not be sent to {self._scripts.client.address} in {timeout_s:g} s and are lost"
            )
        return True

    def __enter__(self) -> "BackgroundPublisher":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_room(self, count: int) -> None:
        """Make room for ``count`` events in the queue, as `when_full` says, or raise. Called with the lock held."""
        while True:
            if self._closing:
                raise ClosedError("the background publisher is closed: start it again, or make another one")
            excess = len(self._items) + count - self._max_items
            if excess <= 0:
                return
            if self._when_full == "raise" or count > self._max_items:
                raise PublisherFullError(
                    f"{len(self._items)} events wait to be sent to {self._scripts.client.address}, the limit is {self._max_items}: "
                    "try again later, raise max_items, or choose another policy with when_full"
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
                batch = self._next_batch()
                self._changed.notify_all()
            self._send(batch)

    def _next_batch(self) -> list[Item]:
        """Take the next events out of the queue: at most `BATCH`, and no more after `BATCH_BYTES`."""
        batch: list[Item] = []
        size = 0
        while self._items and len(batch) < BATCH and size < BATCH_BYTES:
            batch.append(self._items.popleft())
            size += len(batch[-1].body)
        return batch

    def _send(self, batch: list[Item]) -> None:
        refused = self._sender.send(batch)
        for item, problem in refused:
            log.error("the server refused an event on %r, which is lost: %s", item.topic, problem)
        self._refused += len(refused)
        self._sent += len(batch) - len(refused) - self._sender.unsent
