"""The server: accepts connections by TCP or on a Unix socket."""

import asyncio
import logging
import os
import resource
import ssl
from collections.abc import Collection
from contextlib import suppress
from typing import Final, Literal

from notify.errors import WiringError
from notify.flows.fanout import QueueLimits
from notify.flows.framing import Framing
from notify.flows.tcp.address import Address, address_of, is_in, networks_of, socket_for_all, translating, unix_socket
from notify.flows.tcp.connection import Connection
from notify.flows.tcp.endpoint import Endpoint
from notify.flows.tcp.exchange import Exchange, options_of
from notify.flows.tcp.security import TLS

__all__ = ["TCPServer"]

MAX_CLIENTS: Final = 1_000
SPARE_FILES: Final = 250
"""So many open files are left to the rest of the process, such as its connections to Redis."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DRAIN_S: Final = 2.0
"""How long clients get at the end to read what waits for them, where the flow does not wait for them otherwise."""
BACKLOG: Final = 512

log = logging.getLogger(__name__)


class TCPServer(Endpoint):
    """A server: as a source of a flow it gives what clients send; as a sink it sends each item to every client; it may be both.

    Args:
        port: the port; 0 for a free one, which `port` tells when the flow has started.
        host: the address to listen at; by default only this machine can connect. ``"::1"`` and ``"::"`` are those of IPv6, and ``None``
            is all addresses of all interfaces.
        unix: the path of a Unix socket, in place of a port.
        framing: ``"lines"``, ``"json"`` for JSON lines, ``"length"`` for frames behind their lengths, or a `Framing` with options.
        queue: the limits of the queue of each client, and what happens when it is full: ``QueueLimits(when_full=..., max_items=...)``.
        max_clients: how many clients may be connected; more are refused.
        single_client: whether one client is served, and others are refused while it is connected.
        allowed: networks that clients may connect from, such as ``["10.0.0.0/8"]``; by default all.
        token: a shared secret, which a client has to send as its first line.
        tls: certificates, as `TLS` or ``ssl.SSLContext``; without them connections are not encrypted.
        idle_timeout_s: seconds without a byte in either direction after which a client is closed; by default it may be silent.
        keep_alive_s: seconds of silence after which the operating system probes whether a client still lives; ``None`` for never.
        unix_mode: the permissions of the Unix socket; by default only the same user can connect.

    Raises:
        WiringError, SettingsError: an argument cannot be used.

    ``Flow.start`` raises `EndpointError` if the address is in use, forbidden or unknown.
    """

    def __init__(
        self,
        port: int | None = None,
        host: str | None = "127.0.0.1",
        *,
        unix: str | None = None,
        framing: Literal["lines", "json", "length"] | Framing = "lines",
        queue: QueueLimits | None = None,
        max_clients: int = MAX_CLIENTS,
        single_client: bool = False,
        allowed: Collection[str] | None = None,
        token: str | None = None,
        tls: TLS | ssl.SSLContext | None = None,
        idle_timeout_s: float | None = None,
        keep_alive_s: float | None = 30.0,
        unix_mode: int = 0o600,
    ) -> None:
        if isinstance(max_clients, bool) or not isinstance(max_clients, int) or max_clients < 1:
            raise WiringError(f"max_clients is {max_clients!r}: give a whole number above 0")
        limits = queue or QueueLimits()
        options = options_of(framing, limits, token, idle_timeout_s=idle_timeout_s, keep_alive_s=keep_alive_s)
        super().__init__(address_of(host, port, unix), options)
        self._allowed = networks_of(allowed)
        self._max_clients = 1 if single_client else max_clients
        self._tls, self._unix_mode = tls, unix_mode
        self._servers: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return self._address.port

    async def _open(self, exchange: Exchange) -> None:
        tls = self._tls.context(is_server=True) if isinstance(self._tls, TLS) else self._tls
        self._max_clients = min(self._max_clients, _most_connections(self._max_clients, self.address))

        def connection() -> Connection:
            return Connection(exchange, path=self._address.path, admit=lambda client: self._refusal(exchange, client), tls=tls)

        address = self._address
        with translating(address, listens=True):
            if address.path is not None:
                bound = unix_socket(address, self._unix_mode)
                server = await exchange.loop.create_unix_server(connection, sock=bound, backlog=BACKLOG)
            elif address.host is None:
                server = await exchange.loop.create_server(connection, sock=socket_for_all(address.port), backlog=BACKLOG)
            else:
                server = await exchange.loop.create_server(connection, address.host, address.port, backlog=BACKLOG)
        self._servers.append(server)
        if self._options.secret is not None and tls is None and address.path is None and address.host not in LOOPBACK:
            log.warning("%r takes its token without TLS: others on the network can read it; give tls=", self)
        if address.path is None:
            self._address = Address(address.host, server.sockets[0].getsockname()[1])
            exchange.reports.name = exchange.reports.name.replace(str(address), self.address)

    def _refusal(self, exchange: Exchange, client: Connection) -> str | None:
        """Return why a client is not let in, or ``None``."""
        if self._allowed is not None and not is_in(client.name, self._allowed):
            return "its address is not among the allowed networks"
        if len(exchange.connections) >= self._max_clients:
            return f"{self._max_clients} client{'s are' if self._max_clients > 1 else ' is'} connected, and no more are taken: try later"
        return None

    def _stop(self, exchange: Exchange) -> None:
        if not exchange.uses.is_stage:
            self._stop_listening()
        exchange.stop_reading()

    async def _drain(self, exchange: Exchange) -> None:
        if self._options.queue.when_full == "wait":
            await exchange.fanout.drained()
            return
        with suppress(TimeoutError):  # what is left is dropped, and counted as that
            async with asyncio.timeout(DRAIN_S):
                await exchange.fanout.drained()

    async def _close(self, exchange: Exchange) -> None:
        self._stop_listening()

    def _stop_listening(self) -> None:
        while self._servers:
            self._servers.pop().close()
            if self._address.path is not None:
                with suppress(OSError):  # somebody has removed it
                    os.unlink(self._address.path)


def _most_connections(wanted: int, address: str) -> int:
    """Return how many connections the limit of open files allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if limit == resource.RLIM_INFINITY else max(1, limit - SPARE_FILES)
    if most < wanted:
        log.info("the server %s takes %d clients and not %d: the process may open %d files (ulimit -n)", address, most, wanted, limit)
    return most
