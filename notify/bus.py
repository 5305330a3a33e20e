"""The bus: the main object of the package, with methods for events, directory, services, requests and state."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from notify.directory import Directory, Target, check_name
from notify.errors import ClosedError
from notify.events import (
    BackgroundPublisher,
    Contents,
    Demand,
    Event,
    EventScripts,
    Gap,
    Json,
    Message,
    Messages,
    Publisher,
    QueuedListener,
    Subscriber,
    TopicInfo,
    WhenListenerFull,
    WhenPublisherFull,
    event_from,
    message_topic,
    publish,
    publish_unlogged,
    traffic,
)
from notify.keys import Keys
from notify.runtime import Runtime
from notify.server import ONE_ATTEMPT, Client, EmbeddedServer, LinkHandler
from notify.service import NotificationManager, Service
from notify.settings import Settings
from notify.state import Fence, State, registered

__all__ = ["Bus"]


class Bus:
    """Gives access to the events, directory, services and states of one namespace on one server. Made by `connect`.

    A bus may be shared between threads, but not across a fork. `close` closes the connections and background threads of the bus;
    the caller closes the services, subscribers and other objects that the bus returned.
    """

    def __init__(self, client: Client, *, name: str, embedded: EmbeddedServer | None = None, fences: tuple[Fence, ...] = ()) -> None:
        self.name = name
        self._client = client
        self._scripts = EventScripts(client)
        self._fences = fences
        self._embedded = embedded
        self._runtime = Runtime(client, name=name)
        self.messages = Messages()
        """The registry of message classes."""
        self._closed = False

    def open(self, *, retry_s: float = ONE_ATTEMPT, on_link: LinkHandler | None = None) -> None:
        """Check that the server answers. `connect` calls this; arguments and errors as there."""
        if on_link is not None:
            self._runtime.watch_connection(on_link)
        self._client.connect(retry_s=retry_s)

    @property
    def redis(self) -> Client:
        """The ``redis.Redis`` of the bus, for RQ and for commands of the application."""
        return self._client

    @property
    def settings(self) -> Settings:
        return self._client.settings

    @property
    def keys(self) -> Keys:
        """The keys and channels of the namespace."""
        return self._scripts.keys

    @property
    def socket_path(self) -> Path | None:
        """The socket of the private server; ``None`` if the bus uses another server."""
        return self._embedded.socket_path if self._embedded else None

    def publish(
        self, topic: str | Message, contents: Contents = msgspec.UNSET, *, retain_s: float | None = None, key: str | None = None
    ) -> str:
        """Publish one event, in one round trip.

        Args:
            topic: the name of the topic, at most 512 bytes, no pattern; or a message, which names its topic and is the contents.
            contents: any JSON value, or an exception, whose type and message are sent.
            retain_s: seconds for which new subscribers receive the event at once; ``-1`` without limit, ``0`` deletes the
                retained event, ``None`` leaves it alone.
            key: idempotency key: a second event on the topic with the same key, within the retention of the log, is not published.

        Returns:
            The id of the event; if the key was used before, the id of the first event.

        Raises:
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
            ServerUnreachableError: no answer; the event may have been published. With a key it can be published again safely.
        """
        return publish(self._scripts, self._event(topic, contents), retain_s=retain_s, key=key)

    def publish_unlogged(self, topic: str | Message, contents: Contents = msgspec.UNSET) -> None:
        """Send an event to the present subscribers, without log and id: for frequent events that may be lost. Errors as for `publish`."""
        publish_unlogged(self._scripts, self._event(topic, contents))

    def background_publisher(self, *, max_items: int = 10_000, when_full: WhenPublisherFull = "raise") -> BackgroundPublisher:
        """Return a publisher whose `put` does not wait for the server; use it as a context manager.

        Args:
            max_items: events that may wait to be sent.
            when_full: what `put` does when ``max_items`` wait: ``raise`` `PublisherFullError`, ``block``, or ``drop_oldest``.
        """
        self._check_open()
        return BackgroundPublisher(self._client, source=self.name, max_items=max_items, when_full=when_full)

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
        """Return figures about every known topic: events, rate, length of the log, subscribers."""
        self._check_open()
        return traffic(self._scripts)

    def subscribe(self, *topics: str | type[Message], since: Mapping[str, str] | str | None = None) -> Subscriber:
        """Return a subscriber, which receives every event published from now on.

        Args:
            topics: names, glob patterns (``"*"`` is all topics), and message classes: contents on their topics become instances.
            since: where to begin: the id of an event, ``"start"`` for all events in the logs, or `Subscriber.positions` of an
                earlier subscriber; by default with new events.

        Raises:
            EmptySubscriptionError: no topic was given.
            InvalidTopicError: a topic cannot be subscribed to.
            ContentsError: a class is not a message class, has no topic, or has the same topic as another class.
            InvalidPositionError: ``since`` is not a position, or is one id for several topics.
            ServerError: the server did not answer, or refused.
        """
        self._check_open()
        return Subscriber(self._client, topics, since=since, name=self.name)

    def demand(self, topic: str | type[Message]) -> Demand:
        """Return the demand for a topic, which reports its subscribers; use it as a context manager.

        Raises:
            InvalidTopicError: the topic cannot be published on.
        """
        self._check_open()
        return Demand(self._client, message_topic(topic) if isinstance(topic, type) else topic)

    def listen(
        self, *topics: str, callback: Callable[[Event | Gap], object], max_items: int = 1_000, when_full: WhenListenerFull = "block"
    ) -> QueuedListener:
        """Return a listener, which receives events in a child process and calls a function with them in a thread; open it to start.

        Args:
            topics: names and glob patterns.
            callback: takes an `Event`, or a `Gap` where events are lost for good.
            max_items: events that may wait for the callback.
            when_full: what happens when ``max_items`` events wait: ``block`` stops receiving, ``drop_oldest`` drops the oldest.
        """
        self._check_open()
        return QueuedListener(self._client, topics, callback, max_items=max_items, when_full=when_full, name=self.name)

    def manager(self, name: str = "notification-manager") -> NotificationManager:
        """Return a notification manager, which calls functions with events. While it is open, it is a service with that name."""
        self._check_open()
        return NotificationManager(self._client, name=name, ttl_s=self.settings.ttl_s, heartbeats=self._runtime.heartbeats())

    def service(
        self,
        name: str,
        *,
        provides: Collection[str] | object = (),
        groups: Collection[str] = (),
        ttl_s: float | None = None,
        exclusive: bool = False,
        metadata: dict[str, str] | None = None,
        address: str = "",
        exports: object = None,
        threads: int = 1,
    ) -> Service:
        """Return a service, which is registered while it is open; use it as a context manager.

        Args:
            name: the name; if it is taken, a suffix makes it unique.
            provides: the capabilities: names, or an object whose public methods give the names.
            groups: the groups of the service; `Service.join` and `Service.leave` change them.
            ttl_s: seconds without a heartbeat after which the service is withdrawn; by default ``ttl_s`` of the settings.
            exclusive: raise an error if the name is taken.
            metadata: name → text, shown in the directory.
            address: an address at which the service can be reached without Redis, if it has one.
            exports: an object whose public methods other processes may `call`; their names are capabilities as well.
            threads: how many requests may run at once; with one thread the object of ``exports`` needs no locks.

        Raises:
            InvalidServiceError: a name, capability, group, ttl, address or metadata cannot be used, or the object has no methods.
        """
        self._check_open()
        ttl_s = self.settings.ttl_s if ttl_s is None else ttl_s
        return Service(
            self._client,
            name,
            provides=provides,
            groups=groups,
            ttl_s=ttl_s,
            exclusive=exclusive,
            metadata=metadata,
            address=address,
            exports=exports,
            threads=threads,
            heartbeats=self._runtime.heartbeats(),
            fences=self._fences,
        )

    def call(self, service: Target, method: str, /, *args: Json, timeout_s: float = 5.0, **kwargs: Json) -> Any:
        """Call a method that a service exports, and return its result.

        Args:
            service: the name of a service, or the result of `provides`: then the providers of the capability take turns, and a
                suspect provider is called only if there is no other.
            method: a method that the service exports.
            args, kwargs: any JSON values, the arguments of the method. A parameter ``timeout_s`` of the method can be given by
                position only.
            timeout_s: seconds to wait for the answer. A request that has not begun by then is never run.

        Returns:
            The result of the method, encoded as JSON and decoded again.

        Raises:
            ServiceNotFoundError: no service with that name or capability is registered.
            UnknownMethodError: the service exports no such method; the message lists its methods.
            RequestFailedError: the method raised an error; the message names its type.
            RequestTimeoutError: no answer in time.
            ServiceWithdrawnError: the service was withdrawn before it answered (`ServiceKilledError`: it was killed).
            RequestsFullError: a thousand requests wait for the service already.
            InvalidServiceError, ContentsError, PayloadTooLargeError, SettingsError: no request was sent.
            ServerUnreachableError: no answer from the server; the method may have been called.
            ClosedError: the bus is closed, or was closed during the call.
        """
        return self._runtime.request_client().call(service, method, args, kwargs, timeout_s=timeout_s)

    @property
    def directory(self) -> Directory:
        """The directory of the registered services."""
        self._check_open()
        return Directory(self._client)

    def state(self, service: str, *, fenced: bool = False) -> State:
        """Return the state of a service, for processes other than the service itself.

        Args:
            service: the name of the service.
            fenced: refuse every write while the service is not registered; for jobs that need the service.
        """
        self._check_open()
        fences = (*self._fences, registered(self.keys, check_name(service))) if fenced else self._fences
        return State(self._client, check_name(service), fences=lambda: fences)

    def close(self) -> None:
        """Close the connections and background threads. The last user of the private server stops it. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._runtime.close()
        self._client.close()
        if self._embedded is not None:
            self._embedded.close()

    def __enter__(self) -> "Bus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Bus {self._client.address} namespace {self.settings.namespace!r}{' (closed)' if self._closed else ''}>"

    def _event(self, topic: str | Message, contents: Contents) -> Event:
        self._check_open()
        return event_from(topic, contents, source=self.name, messages=self.messages)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} is closed: connect again")
