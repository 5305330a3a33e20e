"""The client: connects to a server by TCP or to a Unix socket, and again when the connection is lost."""

import asyncio
import logging
import ssl
from contextlib import suppress
from typing import Literal

from notify.errors import EndpointError
from notify.flows.fanout import ClientQueue, QueueLimits
from notify.flows.framing import Framing
from notify.flows.tcp.address import address_of
from notify.flows.tcp.connection import Connection
from notify.flows.tcp.connector import Connector, ended, is_unknown
from notify.flows.tcp.endpoint import Endpoint
from notify.flows.tcp.exchange import Exchange, options_of
from notify.flows.tcp.security import TLS
from notify.server import Backoff
from notify.values import counted

__all__ = ["TCPClient"]


log = logging.getLogger(__name__)


class TCPClient(Endpoint):
    """A client: as a source of a flow it gives what the server sends, as a sink it sends each item to the server; it may be both.

    A sink keeps items while there is no connection, up to the limits of its queue, and then holds back the flow. What was sent in the
    last moment before a connection is lost may not have arrived; TCP does not say.

    Args:
        host: the name or address of the server.
        port: its port.
        unix: the path of a Unix socket, in place of host and port.
        framing: ``"lines"``, ``"json"`` for JSON lines, ``"length"`` for frames behind their lengths, or a `Framing` with options.
        reconnect: whether to connect again, with pauses of up to 2 s, and to wait for a server that is not there. Otherwise a source
            ends with its connection, and a sink raises `EndpointError`.
        waits: whether to wait at the start for a server that is not there yet. Otherwise ``Flow.start`` raises `EndpointError`, after
            3 s at the latest for each address of the host; with ``reconnect`` a connection that is lost later is made again nevertheless.
        queue: the limits of what waits to be sent, and what happens when they are reached.
        token: the shared secret of the server, sent as the first line.
        tls: certificates, as `TLS` or ``ssl.SSLContext``; ``True`` for those of the operating system.
        idle_timeout_s: seconds without a byte in either direction after which the connection is given up, and made again.
        keep_alive_s: seconds of silence after which the operating system probes whether the server still lives; ``None`` for never.

    Raises:
        WiringError, SettingsError: an argument cannot be used.

    ``Flow.start`` raises `EndpointError` if the host is unknown, and without ``reconnect`` or ``waits`` if the server cannot be reached.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        unix: str | None = None,
        framing: Literal["lines", "json", "length"] | Framing = "lines",
        reconnect: bool = True,
        waits: bool = True,
        queue: QueueLimits | None = None,
        token: str | None = None,
        tls: TLS | ssl.SSLContext | bool = False,
        idle_timeout_s: float | None = None,
        keep_alive_s: float | None = 30.0,
    ) -> None:
        limits = queue or QueueLimits(when_full="wait")
        options = options_of(framing, limits, token, idle_timeout_s=idle_timeout_s, keep_alive_s=keep_alive_s)
        super().__init__(address_of(host or "127.0.0.1", port, unix), options)
        self._tls = TLS() if tls is True else tls or None
        self._reconnect, self._waits = reconnect, waits and reconnect
        self._connector: Connector
        self._queue: ClientQueue | None = None
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._problem: EndpointError | None = None
        self._is_stopped = False

    async def _open(self, exchange: Exchange) -> None:
        if exchange.uses.is_stage:
            self._queue = exchange.fanout.add()
        self._connector = Connector(self._address, self._tls)
        try:
            self._connection = await self._connect(exchange)
        except EndpointError as exc:
            if not self._waits or is_unknown(exc.__cause__):
                raise
            self._problem = exc
        self._task = exchange.loop.create_task(self._keep_connected(exchange))

    def _stop(self, exchange: Exchange) -> None:
        exchange.stop_reading()
        if not exchange.uses.is_stage:
            self._is_stopped = True

    async def _drain(self, exchange: Exchange) -> None:
        await exchange.fanout.drained()

    async def _close(self, exchange: Exchange) -> None:
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):  # that of the line above
                await self._task
        if self._queue is not None and (left := exchange.fanout.remove(self._queue)):
            exchange.reports.note("dropped", f"{counted(left, 'frame')} could not be sent before the end", count=left)

    def _check(self) -> None:
        if self._problem is not None and not self._reconnect:
            raise EndpointError(str(self._problem)) from self._problem

    async def _connect(self, exchange: Exchange) -> Connection:
        return await self._connector.connect(lambda: Connection(exchange, path=self._address.path, queue=self._queue))

    async def _keep_connected(self, exchange: Exchange) -> None:
        """Wait for the end of each connection, and make the next one."""
        backoff = Backoff(log, exchange.reports.name)
        problem: EndpointError | None = self._problem
        while not self._is_stopped:
            if problem is None and self._connection is not None:
                problem = await ended(self._connection, exchange, self.address, backoff)
            if self._is_stopped or not self._reconnect:
                break
            await asyncio.sleep(backoff.failed(problem or "the connection has ended"))
            problem = None
            try:
                self._connection = await self._connect(exchange)
            except EndpointError as exc:
                problem = exc
        if not self._is_stopped:
            self._problem = problem
            if self._queue is not None:
                exchange.fanout.remove(self._queue)
            exchange.intake.close()
