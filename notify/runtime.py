"""The background parts of a bus. Each part is started when it is first needed, and closed with the bus."""

import threading

from notify.directory import Monitor
from notify.errors import ClosedError
from notify.requests import RequestClient
from notify.server import Client, ConnectionMonitor, LinkHandler
from notify.service import Heartbeats

__all__ = ["Runtime"]


class Runtime:
    """Holds the heartbeats of the services, the monitor of the directory, the client for requests and the connection monitor.

    Args:
        client: the server, the settings and the namespace to use.
        name: the name of the process that sends the requests.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self._client = client
        self._name = name
        self._heartbeats = Heartbeats(client)
        self._monitor: Monitor | None = None
        self._request_client: RequestClient | None = None
        self._connection_monitor: ConnectionMonitor | None = None
        self._starting = threading.Lock()
        self._closed = False

    def watch_connection(self, handler: LinkHandler) -> None:
        """Call ``handler`` from now on when the server becomes reachable or unreachable."""
        self._connection_monitor = ConnectionMonitor(self._client, handler).open()

    def heartbeats(self) -> Heartbeats:
        """Return the heartbeats of the services; starts the monitor, which sweeps the directory, in the first call."""
        with self._starting:
            self._check_open()
            if self._monitor is None:
                self._monitor = Monitor(self._client).open()
            return self._heartbeats

    def request_client(self) -> RequestClient:
        """Return the client for requests; opens it in the first call.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        with self._starting:
            self._check_open()
            if self._request_client is None:
                self._request_client = RequestClient(self._client, name=self._name).open()
            return self._request_client

    def close(self) -> None:
        """Close all parts that were started."""
        with self._starting:
            self._closed = True
        for part in (self._request_client, self._monitor, self._heartbeats, self._connection_monitor):
            if part is not None:
                part.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the bus is closed: connect again")
