"""The background parts of a bus. Each part is started when it is first needed, and closed with the bus."""

import threading
from typing import NamedTuple, TypeVar

from notify.directory import Upkeep
from notify.errors import ClosedError
from notify.events import BackgroundPublisher, Demand, Glob, Opened, QueuedListener, Subscriber, is_pattern
from notify.keys import SERVICES_TOPIC, STATUS_SUFFIX
from notify.requests import RequestClient
from notify.server import Client, ConnectionMonitor, LinkHandler
from notify.service import Heartbeats

__all__ = ["Runtime"]

P = TypeVar("P", bound=BackgroundPublisher | Demand | QueuedListener | Subscriber)


class _Parts(NamedTuple):
    """The parts that are made together. A lost connection of their client is noticed soon, however long the program itself waits."""

    client: Client
    upkeep: Upkeep
    heartbeats: Heartbeats

    def close(self, *, unless: Client) -> None:
        """Close the parts, and their client unless it is that of the bus."""
        self.upkeep.close()
        self.heartbeats.close()
        if self.client is not unless:
            self.client.close()


class Runtime:
    """Holds the heartbeats of the services, the sweeps of the directory, the client for requests and the connection monitor.

    Args:
        client: the server, the settings and the namespace to use.
        name: the name of the process that sends the requests.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self._client = client
        self._name = name
        self._made: _Parts | None = None
        self._making = threading.Lock()
        self._request_client: RequestClient | None = None
        self._connection_monitor: ConnectionMonitor | None = None
        self._starting = threading.Lock()
        self._closed = False

    def _parts(self) -> "_Parts":
        """Make what a bus that only publishes does without, when it is first needed: a bus of a job lives for less than a millisecond."""
        with self._making:
            if self._made is None:
                bounded = self._client.bounded(name="background")
                self._made = _Parts(bounded, Upkeep(bounded), Heartbeats(bounded))
                if self._closed:
                    self._made.close(unless=self._client)
            return self._made

    @property
    def upkeep(self) -> Upkeep:
        """The sweeps of the process, which go on while it waits for changes of the directory."""
        return self._parts().upkeep

    @property
    def _bounded(self) -> Client:
        return self._parts().client

    def watch_connection(self, handler: LinkHandler) -> None:
        """Call ``handler`` from now on when the server becomes reachable or unreachable."""
        self._connection_monitor = ConnectionMonitor(self._client, handler).open()

    def heartbeats(self) -> Heartbeats:
        """Return the heartbeats of the services. The process sweeps the directory from the first call on."""
        with self._starting:
            self._check_open()
            self.upkeep.keep_sweeping()
            return self._parts().heartbeats

    def sweeping_for(self, opened: Opened) -> Opened:
        """Return ``opened``, which is called with each new part of the bus, so that the process sweeps while a part hears of services."""

        def call(part: P) -> P:
            if isinstance(part, Subscriber | QueuedListener) and any(map(_tells_of_services, part.topics)):
                self.upkeep.keep_sweeping()
            return opened(part)

        return call

    def request_client(self) -> RequestClient:
        """Return the client for requests; opens it in the first call. A caller waits for answers, so the process sweeps from then on.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        with self._starting:
            self._check_open()
            if self._request_client is None:
                self._request_client = RequestClient(self._bounded, name=self._name, upkeep=self.upkeep).open()
                self.upkeep.keep_sweeping()
            return self._request_client

    def close(self) -> None:
        """Close all parts that were started."""
        with self._starting:
            self._closed = True
        if self._request_client is not None:
            self._request_client.close()
        with self._making:
            if self._made is not None:
                self._made.close(unless=self._client)
        if self._connection_monitor is not None:
            self._connection_monitor.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the bus is closed: connect again")


def _tells_of_services(topic: str) -> bool:
    """Return whether the end of a service is announced on a topic, or on a topic that a pattern matches."""
    return topic.endswith(STATUS_SUFFIX) or (Glob(topic).matches(SERVICES_TOPIC) if is_pattern(topic) else topic == SERVICES_TOPIC)
