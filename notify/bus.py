"""The public face: `connect` and the `Bus` it returns."""

import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from notify.connection import Client, open_client, process_name
from notify.directory import Directory, check_name
from notify.embedded import EmbeddedServer, default_directory
from notify.errors import ClosedError
from notify.event import Event, Failure
from notify.keys import Keys
from notify.manager import NotificationManager
from notify.monitor import Monitor
from notify.publisher import Publisher, publish
from notify.scripts import Scripts
from notify.service import Service
from notify.settings import Settings
from notify.state import State
from notify.strict_json import Json
from notify.subscriber import Subscriber

__all__ = ["Bus", "connect"]


def connect(
    url: str | None = None,
    *,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    name: str | None = None,
) -> "Bus":
    """Connect to a Redis server, or to the private one of this user.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``. Without one, and without
            ``$NOTIFY_URL`` and ``$REDIS_URL``, a private server is found or started; it ends with its last user.
        settings: everything else that can be set; by default read from ``environ``.
        environ: instead of ``os.environ``.
        name: what this process calls itself, as source of events and in ``CLIENT LIST``; by default ``host:pid``.

    Returns:
        A bus; close it, or use it as a context manager.

    Raises:
        SettingsError: the URL or a setting cannot be used.
        ServerUnreachableError: nobody answers at the address.
        ServerRefusedError: the server wants another password, or is older than Redis 6.2.
        EmbeddedServerError: the private server would not start.
    """
    environ = os.environ if environ is None else environ
    settings = settings or Settings.from_env(environ)
    if url is not None:
        settings = msgspec.structs.replace(settings, url=url)
    embedded = None
    if settings.url is None:
        embedded = EmbeddedServer(default_directory(environ), environ)
        settings = msgspec.structs.replace(settings, url=embedded.url)
    client = None
    try:
        client = open_client(settings, name=name or process_name())
        client.check()
    except BaseException:
        if client is not None:
            client.close()
        if embedded is not None:
            embedded.close()
        raise
    return Bus(client, name=name or process_name(), embedded=embedded)


class Bus:
    """Events, directory, services and state of one namespace on one server. Made by `connect`.

    It is safe to share between threads, not across a fork. It closes what was opened through it and nothing else.
    """

    def __init__(self, client: Client, *, name: str, embedded: EmbeddedServer | None = None) -> None:
        self.name = name
        self._client = client
        self._scripts = Scripts(client)
        self._embedded = embedded
        self._monitor: Monitor | None = None
        self._starting = threading.Lock()
        self._closed = False

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

    def publish(self, topic: str, contents: Json | Failure | BaseException, *, retain_s: float | None = None) -> str:
        """Publish one event; one round trip.

        Args:
            topic: what it is about; at most 512 bytes, no pattern.
            contents: any JSON value, or an error, which travels as type and message.
            retain_s: for how many seconds a new subscriber still gets it at once; ``-1`` for ever, ``0`` drops what is
                retained, ``None`` leaves that alone.

        Returns:
            The event's id.

        Raises:
            InvalidTopicError, ContentsError, PayloadTooLargeError, SettingsError: nothing was sent.
            ServerUnreachableError: no answer; it may have been published.
        """
        self._check_open()
        told = Failure.of(contents) if isinstance(contents, BaseException) else contents
        return publish(self._scripts, Event(topic=topic, contents=told, source=self.name), retain_s=retain_s)

    def register_publisher(self, topic: str) -> Publisher:
        """Make a topic known before its first event, and return what publishes on it."""
        self._check_open()
        publisher = Publisher(self._scripts, topic, source=self.name)
        self._scripts.know(topic)
        return publisher

    def topics(self) -> list[str]:
        """Return the known topics, sorted."""
        self._check_open()
        return self._scripts.topics()

    def subscribe(self, *topics: str) -> Subscriber:
        """Subscribe to topics and glob patterns; ``"*"`` is all. It is live when this returns.

        Raises:
            EmptySubscriptionError: no topic was given.
            InvalidTopicError: a topic cannot be subscribed to.
        """
        self._check_open()
        return Subscriber(self._client, topics, name=self.name)

    def manager(self, name: str = "notification-manager") -> NotificationManager:
        """Return a notification manager for callbacks; it is a service of that name while it is open."""
        self._check_open()
        self._start_monitor()
        return NotificationManager(self._client, name=name, ttl_s=self.settings.ttl_s)

    def service(
        self,
        name: str,
        *,
        provides: Collection[str] | object = (),
        ttl_s: float | None = None,
        exclusive: bool = False,
        metadata: dict[str, str] | None = None,
    ) -> Service:
        """Return a service to run as a context manager.

        Args:
            name: what it wants to be called; a suffix makes a taken name unique.
            provides: its capabilities: names, or an object whose public methods they are.
            ttl_s: seconds of silence after which it is withdrawn; by default that of the settings.
            exclusive: refuse to run under any other name.
            metadata: what it says of itself, text by text.

        Raises:
            InvalidServiceError: a name, capability or ttl cannot be used.
        """
        self._check_open()
        self._start_monitor()
        ttl_s = self.settings.ttl_s if ttl_s is None else ttl_s
        return Service(self._scripts, name, provides=provides, ttl_s=ttl_s, exclusive=exclusive, metadata=metadata)

    @property
    def directory(self) -> Directory:
        """Who is there."""
        self._check_open()
        return Directory(self._scripts)

    def state(self, service: str) -> State:
        """Return the state hash of a service, unfenced: for whoever looks in from outside."""
        self._check_open()
        return State(self._scripts, check_name(service))

    def close(self) -> None:
        """Close the connections; the private server stops with its last user. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._monitor is not None:
            self._monitor.close()
        self._client.close()
        if self._embedded is not None:
            self._embedded.close()

    def __enter__(self) -> "Bus":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Bus {self._client.address} namespace {self.settings.namespace!r}{' (closed)' if self._closed else ''}>"

    def _start_monitor(self) -> None:
        with self._starting:
            if self._monitor is None:
                self._monitor = Monitor(self._scripts).open()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} is closed: connect again")
