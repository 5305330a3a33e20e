"""The bus: events, directory, services and state behind one thin face."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from notify.directory import Directory, Target, check_name
from notify.errors import ClosedError, ServerUnreachableError
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
from notify.server import Client, EmbeddedServer, LinkHandler
from notify.service import NotificationManager, Service
from notify.settings import Settings, positive
from notify.state import Fence, State, registered

__all__ = ["ONE_ATTEMPT", "Bus"]

ONE_ATTEMPT: Final = -1.0
"""As ``retry_s``: try once, and raise."""


class Bus:
    """Events, directory, services and state of one namespace on one server. Made by `connect`.

    It is safe to share between threads, not across a fork. It closes what was opened through it and nothing else.
    """

    def __init__(self, client: Client, *, name: str, embedded: EmbeddedServer | None = None, fences: tuple[Fence, ...] = ()) -> None:
        self.name = name
        self._client = client
        self._scripts = EventScripts(client)
        self._fences = fences
        self._embedded = embedded
        self._runtime = Runtime(client, name=name)
        self.messages = Messages()
        """The message classes that this bus knows."""
        self._closed = False

    def open(self, *, retry_s: float = ONE_ATTEMPT, on_link: LinkHandler | None = None) -> None:
        """Make sure that the server answers; `connect` does this. Arguments and errors as there."""
        if on_link is not None:
            self._runtime.watch_link(on_link)
        while True:
            try:
                return self._client.check()
            except ServerUnreachableError:
                if retry_s == ONE_ATTEMPT:
                    raise
            time.sleep(positive(retry_s, "retry_s"))

    @property
    def redis(self) -> Client:
        """The ``redis.Redis`` underneath, for RQ and for commands of your own."""
        return self._client

    @property
    def settings(self) -> Settings:
        return self._client.settings

    @property
    def keys(self) -> Keys:
        """The names of our keys and channels."""
        return self._scripts.keys

    @property
    def socket_path(self) -> Path | None:
        """Where the private server listens; ``None`` on a server that was named."""
        return self._embedded.socket_path if self._embedded else None

    def publish(
        self,
        topic: str | Message,
        contents: Contents = msgspec.UNSET,
        *,
        retain_s: float | None = None,
        key: str | None = None,
    ) -> str:
        """Publish one event; one round trip.

        Args:
            topic: what it is about; at most 512 bytes, no pattern. Or a message, which knows its topic and is the contents.
            contents: any JSON value, or an error, which travels as type and message.
            retain_s: for how many seconds a new subscriber still gets it at once; ``-1`` for ever, ``0`` drops what is
                retained, ``None`` leaves that alone.
            key: idempotency key: a second event on the topic with the same one, within the retention, is not published.

        Returns:
            The event's id; with a key that was used before, the id of the first one.

        Raises:
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
            ServerUnreachableError: no answer; it may have been published. With a key it can be tried again.
        """
        return publish(self._scripts, self._event(topic, contents), retain_s=retain_s, key=key)

    def publish_unlogged(self, topic: str | Message, contents: Contents = msgspec.UNSET) -> None:
        """Publish to who listens now, without log, id or repair: for events that come fast and may be lost. Errors as for `publish`."""
        publish_unlogged(self._scripts, self._event(topic, contents))

    def background_publisher(self, *, max_items: int = 10_000, when_full: WhenPublisherFull = "raise") -> BackgroundPublisher:
        """Return a publisher whose `put` does not wait for the server; use it as a context manager.

        Args:
            max_items: events that may wait to be sent.
            when_full: what `put` does then: ``raise`` `PublisherFullError`, ``block`` until there is room, or ``drop_oldest``.
        """
        self._check_open()
        return BackgroundPublisher(self._client, source=self.name, max_items=max_items, when_full=when_full)

    def register_publisher(self, topic: str | type[Message]) -> Publisher:
        """Make a topic known before its first event, and return what publishes on it; given a message class, only that class."""
        self._check_open()
        publisher = Publisher(self._scripts, topic, source=self.name)
        self._scripts.declare_topic(publisher.topic)
        return publisher

    def topics(self) -> list[str]:
        """Return the known topics, sorted."""
        self._check_open()
        return self._scripts.topics()

    def traffic(self) -> list[TopicInfo]:
        """Describe every known topic: events, rate, length of its log, subscribers."""
        self._check_open()
        return traffic(self._scripts)

    def subscribe(self, *topics: str | type[Message], since: Mapping[str, str] | str | None = None) -> Subscriber:
        """Subscribe. It is live when this returns.

        Args:
            topics: names, glob patterns (``"*"`` is all), and message classes, whose events then carry instances.
            since: an id, ``"start"``, or the `Subscriber.positions` of another time: what came after it is delivered first.

        Raises:
            EmptySubscriptionError: no topic was given.
            InvalidTopicError: a topic cannot be subscribed to.
            InvalidPositionError: ``since`` is no position.
        """
        self._check_open()
        return Subscriber(self._client, topics, since=since, name=self.name)

    def demand(self, topic: str | type[Message]) -> Demand:
        """Return who listens to a topic, so that you publish only while somebody does; use it as a context manager.

        Raises:
            InvalidTopicError: it is no topic that can be published on.
        """
        self._check_open()
        return Demand(self._client, message_topic(topic) if isinstance(topic, type) else topic)

    def listen(
        self, *topics: str, callback: Callable[[Event | Gap], object], max_items: int = 1_000, when_full: WhenListenerFull = "block"
    ) -> QueuedListener:
        """Return a listener that receives in a process of its own and calls back in a thread; open it to start.

        Args:
            topics: names and glob patterns.
            callback: takes an `Event`, or a `Gap`.
            max_items: events that may wait for the callback.
            when_full: ``block`` or ``drop_oldest``.
        """
        self._check_open()
        return QueuedListener(self._client, topics, callback, max_items=max_items, when_full=when_full, name=self.name)

    def manager(self, name: str = "notification-manager") -> NotificationManager:
        """Return a notification manager for callbacks; it is a service of that name while it is open."""
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
        """Return a service to run as a context manager.

        Args:
            name: what it wants to be called; a suffix makes a taken name unique.
            provides: its capabilities: names, or an object whose public methods they are.
            groups: the groups it is in; `Service.join` and `Service.leave` change them.
            ttl_s: seconds of silence after which it is withdrawn; by default that of the settings.
            exclusive: refuse to run under any other name.
            metadata: what it says of itself, text by text.
            address: where it can be reached, if anywhere.
            exports: an object whose public methods others may `call`; they are capabilities as well.
            threads: how many requests may run at once; with one the object needs no locks.

        Raises:
            InvalidServiceError: a name, capability, group, ttl, address or metadata cannot be used, or there is nothing to export.
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
            service: its name, or what `provides` gives: then the providers of a capability take turns, one under suspicion last.
            method: one of the methods it exports.
            args, kwargs: any JSON values, for the method; its parameter ``timeout_s``, if it has one, can be given by place only.
            timeout_s: seconds to wait for the answer. A request that has not begun by then never begins.

        Returns:
            What the method returned, as JSON gives it back.

        Raises:
            ServiceNotFoundError: nobody of that name, or with that capability, is there.
            UnknownMethodError: it exports no such method; the message lists those it exports.
            RequestFailedError: the method raised an error; the message names its type.
            RequestTimeoutError: no answer in time.
            ServiceWithdrawnError: it was withdrawn before it answered (`ServiceKilledError`: it was killed).
            RequestsFullError: a thousand requests wait for it already.
            InvalidServiceError, ContentsError, PayloadTooLargeError, SettingsError: nothing was asked.
            ServerUnreachableError: no answer from the server; the method may be called.
            ClosedError: the bus is closed, or was while this waited.
        """
        return self._runtime.caller().call(service, method, args, kwargs, timeout_s=timeout_s)

    @property
    def directory(self) -> Directory:
        """Who is there."""
        self._check_open()
        return Directory(self._client)

    def state(self, service: str, *, fenced: bool = False) -> State:
        """Return the state hash of a service, for whoever looks in from outside.

        Args:
            service: its name.
            fenced: refuse every write while no such service is registered, as a job that needs it should.
        """
        self._check_open()
        fences = (*self._fences, registered(self.keys, check_name(service))) if fenced else self._fences
        return State(self._client, check_name(service), fences=lambda: fences)

    def close(self) -> None:
        """Close the connections; the private server stops with its last user. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._runtime.close()
        self._client.close()
        if self._embedded is not None:
            self._embedded.close()

    def __enter__(self) -> "Bus":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Bus {self._client.address} namespace {self.settings.namespace!r}{' (closed)' if self._closed else ''}>"

    def _event(self, topic: str | Message, contents: Contents) -> Event:
        self._check_open()
        return event_from(topic, contents, source=self.name, messages=self.messages)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} is closed: connect again")
