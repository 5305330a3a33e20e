"""The notification manager of a process: delivers events to the callbacks of named clients, and is a service itself."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from notify.errors import ClosedError, DuplicateClientNameError, NotSubscribedError
from notify.events import (
    Event,
    EventScripts,
    Gap,
    Glob,
    Message,
    Publisher,
    Subscribable,
    Subscriber,
    flat_topics,
    is_pattern,
    message_topic,
    topics_by_name,
)
from notify.process import UNTRACED, is_traced
from notify.server import Client
from notify.service.heartbeat import Heartbeats
from notify.service.naming import NamePolicy
from notify.service.report import Report
from notify.service.service import Service

__all__ = ["NotificationManager"]

PROVIDES: Final = frozenset({"register_publisher", "subscribe", "unsubscribe", "topics"})

log = logging.getLogger(__name__)


class NotificationManager:
    """Delivers events to callbacks. Each client has a thread of its own: a slow or failing callback delays no other client.

    The manager registers in the directory, where other services find it by its capabilities:
    ``directory.find(provides="register_publisher")``. Made by `Bus.manager`; use it as a context manager.
    """

    def __init__(self, client: Client, *, name: str, ttl_s: float, heartbeats: Heartbeats | None = None) -> None:
        # The manager has a client of its own: closing it also closes the publishers that the manager has made.
        self._client = client.clone(name=name)
        self._scripts = EventScripts(self._client)
        instances = NamePolicy.of(instances=True)  # any manager will do: clients find one by its capabilities
        self._service = Service(self._client, name, provides=PROVIDES, ttl_s=ttl_s, policy=instances, heartbeats=heartbeats)
        self._subscriptions: dict[str, list[_Subscription]] = {}
        self._lock = threading.RLock()
        self._closed = self._has_failed = False

    @property
    def name(self) -> str:
        """The unique name under which the manager is registered."""
        return self._service.name

    def register_publisher(self, topic: str | type[Message]) -> Publisher:
        """Declare a topic and return a publisher for it, usable until the manager is closed. Publishers may share a topic."""
        self._check_open()
        publisher = Publisher(self._scripts, topic, source=self.name)
        self._scripts.declare_topic(publisher.topic)
        return publisher

    def topics(self) -> list[str]:
        """Return the known topics, sorted."""
        return self._scripts.topics()

    def subscribe(
        self, client_name: str, callback: Callable[[Event], object], *topics: Subscribable, on_gap: Callable[[Gap], object] | None = None
    ) -> None:
        """Call ``callback`` with every event of the topics from now on, in order per topic.

        Args:
            client_name: unique per topic within this manager.
            callback: called in the client's thread. An exception that it raises is logged; delivery goes on.
            topics: names, patterns and message classes, or lists of them. A topic need not exist yet. Without a topic nothing is
                subscribed. An event on the topic of a class has an instance of it as contents. An event that does not fit the class
                is skipped, and the first one of a topic is logged.
            on_gap: called with a `Gap`, in its place among the events, when events are lost and the log no longer has them.
                Without it the gap is logged.

        Raises:
            DuplicateClientNameError: a client with that name is subscribed to one of the topics already; nothing was subscribed.
            InvalidTopicError, ContentsError: a topic or a message class is not valid; nothing was subscribed.
            ClosedError, ServiceKilledError: the manager is not open, or was killed.
            TypeError: a callback cannot be called.
        """
        for function in (callback, on_gap or callback):
            if not callable(function):
                raise TypeError(f"the callback of {client_name!r} must be callable, not {function!r}")
        names = topics_by_name(flat_topics(*topics))
        if not names:
            return
        with self._lock:
            self._check_open()
            taken = names.keys() & self._topics_of(client_name)
            if taken:
                listed = ", ".join(sorted(taken))
                raise DuplicateClientNameError(f"a client named {client_name!r} is already subscribed to {listed}: unsubscribe it first")
            subscriber = Subscriber(self._client, [names[name] for name in sorted(names)], name=client_name, takes_direct=True)
            self._subscriptions.setdefault(client_name, []).append(_Subscription(client_name, subscriber, callback, on_gap, set(names)))

    def subscribe_reports(self, client_name: str, callback: Callable[[Report], object], *, service: str = "*", subject: str = "*") -> None:
        """Call ``callback`` with every `Report` of a service about a subject; with retained reports at once.

        To end it, call `unsubscribe` with the client name and the topic ``<service>.<subject>``.

        Args:
            client_name: unique per pair of service and subject.
            callback: called with each report, in the same way as for `subscribe`.
            service, subject: names, or patterns: ``system.*`` is every subject that begins with ``system.``.

        Raises:
            The same errors as `subscribe`.
        """

        def deliver(event: Event) -> None:
            report = Report.of(event)
            if report is not None:
                callback(report)

        self.subscribe(client_name, deliver, f"{service}.{subject}")

    def unsubscribe(self, client_name: str, *topics: Subscribable) -> None:
        """End a client's subscription to some or all of its topics. May be called inside its callback.

        Args:
            client_name: as given to `subscribe`.
            topics: names, patterns and message classes, or lists of them, as given to `subscribe`; without them all topics of the client.

        Raises:
            NotSubscribedError: the client is not subscribed to one of the topics; nothing was changed.
        """
        with self._lock:
            subscribed = self._topics_of(client_name)
            named = {message_topic(topic) if isinstance(topic, type) else topic for topic in flat_topics(*topics)}
            wanted = named if topics else subscribed
            if not subscribed or not wanted <= subscribed:
                raise NotSubscribedError(
                    f"no client named {client_name!r} is subscribed to {', '.join(sorted(wanted - subscribed)) or 'anything'}"
                )
            kept = []
            for subscription in self._subscriptions.pop(client_name):
                if subscription.topics <= wanted:
                    subscription.close()
                else:
                    subscription.limit_to(subscription.topics - wanted)
                    kept.append(subscription)
            if kept:
                self._subscriptions[client_name] = kept

    def open(self) -> "NotificationManager":
        """Register in the directory.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        try:
            self._service.open()
        except BaseException:
            self._has_failed = True
            self._client.hang_up()
            raise
        self._has_failed = False
        return self

    @property
    def is_closed(self) -> bool:
        """Whether the manager is closed, or could not be opened, so that it holds no connection."""
        return self._has_failed or (self._closed and self._service.wait(0))

    def stop_delivering(self) -> bool:
        """Unsubscribe all clients for good, and wait until their callbacks have returned. Returns ``False`` if that was done before."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            ending = [s for subscriptions in self._subscriptions.values() for s in subscriptions]
            self._subscriptions.clear()
        for subscription in ending:
            subscription.close()
        for subscription in ending:
            subscription.join()
        return was_open

    def close(self) -> bool:
        """Unsubscribe all clients and withdraw the manager. A callback may call it. Returns ``False`` if it is closed already."""
        was_open = self.stop_delivering()
        try:
            self._service.close()
        finally:
            self._client.close()
        return was_open

    def __enter__(self) -> "NotificationManager":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"the notification manager {self.name!r} is closed: make a new one")
        self._service.check()

    def _topics_of(self, client_name: str) -> set[str]:
        return {topic for subscription in self._subscriptions.get(client_name, []) for topic in subscription.topics}


class _Subscription:
    """The result of one call of `subscribe`: a subscriber, and the thread that runs the callback."""

    def __init__(
        self,
        client_name: str,
        subscriber: Subscriber,
        callback: Callable[[Event], object],
        on_gap: Callable[[Gap], object] | None,
        topics: set[str],
    ) -> None:
        self.limit_to(topics)
        self._client_name = client_name
        self._subscriber = subscriber
        self._callback = callback
        self._on_gap = on_gap
        self._thread = threading.Thread(target=self._run, name=f"notify-client-{client_name}", daemon=True)
        self._thread.start()

    def limit_to(self, topics: set[str]) -> None:
        """Deliver events of these topics only."""
        # The list is replaced instead of changed, because the thread may be iterating over it.
        self._globs = [Glob(topic) for topic in topics if is_pattern(topic)]
        self.topics = topics

    def close(self) -> None:
        """End the subscription. Events that were received but not delivered yet are dropped."""
        self.limit_to(set())
        self._subscriber.close()

    def join(self) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        for item in self._subscriber:
            if self._includes(item.topic):
                self._deliver(item)

    def _includes(self, topic: str) -> bool:
        return topic in self.topics or any(glob.matches(topic) for glob in self._globs)

    def _deliver(self, item: Event | Gap) -> None:
        try:
            if isinstance(item, Event):
                with item.processing() if is_traced() else UNTRACED:
                    self._callback(item)
            elif self._on_gap is not None:
                self._on_gap(item)
            else:
                log.error("events for client %r are lost, the log does not have them any more: %s", self._client_name, item)
        except Exception:
            log.exception("the callback of client %r raised on an event of %r", self._client_name, item.topic)
