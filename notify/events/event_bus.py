"""The events of a bus: publish, subscribe and listen. `notify.Bus` adds the directory, services, requests and state."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar, overload

import msgspec

from notify.errors import ClosedError
from notify.events.background import BackgroundPublisher
from notify.events.demand import Demand
from notify.events.event import Event, Gap
from notify.events.listener import QueuedListener
from notify.events.message import Message, Messages, Subscribable, message_topic
from notify.events.overflow import WhenListenerFull, WhenPublisherFull
from notify.events.publisher import Contents, Publisher, Topics, event_from, events_from, publish, publish_each, publish_unlogged
from notify.events.retained import expire_retained, matching_topics
from notify.events.scripts import EventScripts
from notify.events.subscriber import Subscriber
from notify.events.topic import flat_topics
from notify.events.topics import TopicInfo, traffic
from notify.server import Client
from notify.settings import Settings

__all__ = ["EventBus", "Opened"]

P = TypeVar("P", bound=BackgroundPublisher | Demand | QueuedListener | Subscriber)


class Opened(Protocol):
    """Called with a part that was opened: the bus closes it later. Returns the part."""

    def __call__(self, part: P, /) -> P: ...


class EventBus:
    """The base class of `notify.Bus`, which has its description.

    Args:
        client: the server, the settings and the namespace to use.
        name: the source of the events.
        opened: called with each part that was opened.
    """

    def __init__(self, client: Client, *, name: str, opened: Opened) -> None:
        self.name = name
        self._client, self._opened = client, opened
        self._scripts = EventScripts(client)
        self.messages = Messages()
        """The registry of message classes."""

    @property
    def redis(self) -> Client:
        """The ``redis.Redis`` of the bus, for RQ and for commands of the application."""
        return self._client

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self._client.settings

    @overload
    def publish(self, topic: str | Message, contents: Contents = ..., *, retain_s: float | None = ..., key: str | None = ...) -> str: ...
    @overload
    def publish(self, topic: Topics, contents: Contents, *, retain_s: float | None = ..., key: str | None = ...) -> list[str]: ...
    def publish(
        self, topic: str | Message | Topics, contents: Contents = msgspec.UNSET, *, retain_s: float | None = None, key: str | None = None
    ) -> str | list[str]:
        """Publish one event, in one round trip. With several topics one event on each, in their order.

        Args:
            topic: the name of the topic, at most 512 bytes, no pattern; a list of such names; or a message, which names its
                topic and is the contents.
            contents: any JSON value, or an exception, whose type and message are sent.
            retain_s: seconds for which new subscribers receive the event at once; ``-1`` without limit, ``0`` deletes the
                retained event, ``None`` leaves it alone.
            key: idempotency key: a second event on the topic with the same key, within the retention of the log, is not published.

        Returns:
            The id of the event, or a list with the id of each event; if the key was used before, the id of the first event.

        Raises:
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
            ServerUnreachableError: no answer; the event may have been published. With a key it can be published again safely.
        """
        self._check_open()
        if isinstance(topic, str | Message):
            event = event_from(topic, contents, source=self.name, messages=self.messages)
            return publish(self._scripts, event, retain_s=retain_s, key=key)
        events = events_from(topic, contents, source=self.name, messages=self.messages)
        return publish_each(self._scripts, events, retain_s=retain_s, key=key)

    def publish_unlogged(self, topic: str | Message | Topics, contents: Contents = msgspec.UNSET) -> None:
        """Send an event to the present subscribers, without log and id: for frequent events that may be lost. Errors as for `publish`."""
        self._check_open()
        publish_unlogged(self._scripts, events_from(topic, contents, source=self.name, messages=self.messages))

    def background_publisher(self, *, max_items: int = 10_000, when_full: WhenPublisherFull = "raise") -> BackgroundPublisher:
        """Return a publisher whose `put` does not wait for the server; use it as a context manager.

        Args:
            max_items: events that may wait to be sent.
            when_full: what `put` does when ``max_items`` wait: ``raise`` `PublisherFullError`, ``block``, or ``drop_oldest``.
        """
        self._check_open()
        return self._opened(BackgroundPublisher(self._client, source=self.name, max_items=max_items, when_full=when_full))

    def register_publisher(self, topic: str | type[Message]) -> Publisher:
        """Add a topic to the known topics, and return a publisher for it. The publisher of a message class accepts only that class."""
        self._check_open()
        publisher = Publisher(self._scripts, topic, source=self.name)
        self._scripts.declare_topic(publisher.topic)
        return publisher

    def topics(self) -> list[str]:
        """Return the known topics, sorted."""
        self._check_open()
        return self._scripts.topics()

    def traffic(self) -> list[TopicInfo]:
        """Return figures about every known topic: events, rate over the last minute, length of the log, subscribers."""
        self._check_open()
        return traffic(self._scripts)

    def expire_retained(self, *topics: str | Collection[str]) -> list[str]:
        """Delete the retained events of topics, so that later subscribers do not get them at once. The logs keep the events.

        Args:
            topics: names and glob patterns (``"*"`` is all known topics), or lists of them.

        Returns:
            The topics that had a retained event, sorted.

        Raises:
            EmptySubscriptionError, InvalidTopicError: nothing was deleted.
        """
        self._check_open()
        return expire_retained(self._scripts, matching_topics(self._scripts, flat_topics(*topics)))

    def subscribe(self, *topics: Subscribable, since: Mapping[str, str] | str | None = None) -> Subscriber:
        """Return a subscriber, which receives every event published from now on.

        Args:
            topics: names, glob patterns (``"*"`` is all topics), and message classes: contents on their topics become instances.
                Each argument may be a list of these.
            since: where to begin: the id of an event, ``"start"`` for all events in the logs, or `Subscriber.positions` of an
                earlier subscriber; by default with new events.

        Raises:
            EmptySubscriptionError, InvalidTopicError: no topic was given, or one cannot be subscribed to.
            ContentsError: a class is not a message class, has no topic, or has the same topic as another class.
            InvalidPositionError: ``since`` is not a position, or is one id for several topics.
            ServerError: the server did not answer, or refused.
        """
        self._check_open()
        names = flat_topics(*topics)
        return self._opened(Subscriber(self._client, names, since=since, name=self.name, takes_direct=True, is_pulled=True))

    def demand(self, topic: str | type[Message]) -> Demand:
        """Return the demand for a topic, which reports its subscribers; use it as a context manager. Raises `InvalidTopicError`."""
        self._check_open()
        return self._opened(Demand(self._client, message_topic(topic) if isinstance(topic, type) else topic))

    def listen(
        self,
        *topics: Subscribable,
        callback: Callable[[Event | Gap], object] | None = None,
        max_items: int = 1_000,
        when_full: WhenListenerFull = "block",
    ) -> QueuedListener:
        """Return a listener, which receives events in a child process and calls a function with them in a thread; open it to start.

        Args:
            topics: names, glob patterns and message classes, or lists of them, as for `subscribe`.
            callback: takes an `Event`, or a `Gap` where events are lost for good. `QueuedListener.subscribe` adds further ones.
            max_items: events that may wait for the callback.
            when_full: what happens when ``max_items`` events wait: ``block`` stops receiving, ``drop_oldest`` drops the oldest.
        """
        self._check_open()
        listener = QueuedListener(self._client, flat_topics(*topics), callback, max_items=max_items, when_full=when_full, name=self.name)
        return self._opened(listener)

    def _check_open(self) -> None:
        if self._client.is_closed:
            raise ClosedError(f"{self!r} is closed: connect again")
