"""How a client reaches its server: each of its addresses in turn, with or without TLS."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from notify.errors import EndpointError
from notify.flows.tcp.address import Address, translating
from notify.flows.tcp.connection import HANDSHAKE_S, Connection
from notify.flows.tcp.exchange import Exchange
from notify.flows.tcp.security import TLS
from notify.server import Backoff

__all__ = ["Connector", "ended", "is_unknown"]

CONNECT_S: Final = 3.0
"""How long an attempt to connect to one address may take, without the handshake of TLS."""
STABLE_S: Final = 1.0
"""A connection that lasted so long was none that the server refuses: the next pauses are short again."""


class Connector:
    """Makes connections to one server.

    Args:
        address: where the server is.
        tls: the certificates, or ``None``.

    Raises:
        EndpointError: the certificates cannot be used.
    """

    def __init__(self, address: Address, tls: TLS | ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls.context(is_server=False) if isinstance(tls, TLS) else tls
        named = tls.server_name if isinstance(tls, TLS) else None
        self._server_name = None if tls is None else named or address.host or "localhost"

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Return a connection that is made for this attempt.

        Raises:
            EndpointError: the server cannot be reached.
        """
        address = self._address
        loop = asyncio.get_running_loop()
        with translating(address, listens=False):
            if address.path is not None:
                return await self._within(loop.create_unix_connection, make, address.path)
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            problem: OSError = OSError(errno.EADDRNOTAVAIL, "the host has no address")
            # One after the other: asyncio's way to try them at the same time leaves a socket open if it is cancelled.
            for host in dict.fromkeys(info[4][0] for info in found):
                try:
                    return await self._within(loop.create_connection, make, host, address.port)
                except OSError as exc:
                    problem = exc
            raise problem

    async def _within(self, connect: Callable[..., Any], make: Callable[[], Connection], *where: object) -> Connection:
        """Connect to one address in a limited time."""
        handshake_s = None if self._tls is None else HANDSHAKE_S
        async with asyncio.timeout(CONNECT_S + (handshake_s or 0.0)):
            _, made = await connect(make, *where, ssl=self._tls, server_hostname=self._server_name, ssl_handshake_timeout=handshake_s)
        connection: Connection = made
        return connection


async def ended(connection: Connection, exchange: Exchange, address: str, backoff: Backoff) -> EndpointError | None:
    """Wait for the end of a connection; tell the backoff when it has lasted.

    Returns:
        The error that ended it; ``None`` if the other side has closed it and nothing was to be sent.
    """
    stable = exchange.loop.call_later(STABLE_S, backoff.over)
    try:
        await asyncio.wait([connection.lost])  # to be cancelled here must not cancel the future
    finally:
        stable.cancel()
    cause = connection.lost.result()
    if cause is not None:
        return EndpointError(f"the connection to {address} was lost: {cause}; what was sent last may not have arrived")
    if exchange.uses.is_stage:
        return EndpointError(f"{address} has closed the connection; what was sent last may not have arrived")
    return None


def is_unknown(problem: BaseException | None) -> bool:
    """Return whether the host does not exist: waiting does not help."""
    if isinstance(problem, socket.gaierror):
        return problem.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    return isinstance(problem, UnicodeError) or (isinstance(problem, OSError) and problem.errno == errno.EADDRNOTAVAIL)
