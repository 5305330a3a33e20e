"""One connection of a server or a client: from the handshake to the end."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, cast

from notify.flows.fanout import ClientQueue
from notify.flows.tcp.address import peer_of
from notify.flows.tcp.exchange import Exchange
from notify.values import counted

__all__ = ["HANDSHAKE_S", "Connection"]

HANDSHAKE_S: Final = 10.0
"""How long a client may take for the handshake of TLS and for its token, together."""
LINGER_S: Final = 1.0
"""How long a client that is closed for a reason may take to read the reason."""
ANSWER_S: Final = 1.0
"""How long a client that has closed its side still gets what a sink sends."""
MAX_LEAVING: Final = 100
"""So many clients may read their reasons at the same time; others are closed without one."""
FIRST_LINE_BYTES: Final = 1_100
"""The longest first line, where a token is expected."""


class Phase(Enum):
    """How far a connection is."""

    HANDSHAKE = auto()
    TOKEN = auto()
    OPEN = auto()
    CLOSING = auto()


class Connection(asyncio.Protocol):
    """A connection. Frames that come in go to the exchange; it is a `Sender`, to which a queue writes.

    Args:
        exchange: what all connections of the endpoint share.
        path: the path of the Unix socket, if it is one.
        admit: returns why the client is not let in, or ``None``; for a server.
        tls: the context of a server.
        queue: the queue that it continues; without one it gets a new one when it is open.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        path: str | None = None,
        admit: "Callable[[Connection], str | None] | None" = None,
        tls: ssl.SSLContext | None = None,
        queue: ClientQueue | None = None,
    ) -> None:
        self._exchange, self._path, self._admit, self._tls = exchange, path, admit, tls
        self._own_queue, self._queue = queue, queue
        self._decoder = exchange.options.framing.decoder()
        self._transport: asyncio.Transport
        self._phase = Phase.HANDSHAKE
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._is_writable = True
        self.name: Any = None
        """The name of the other side, as asyncio gives it."""
        self.peer = ""
        """The name of the other side for people."""
        self.active_at = exchange.loop.time()
        self.lost: asyncio.Future[Exception | None] = exchange.loop.create_future()
        """Done when the connection has ended, with its error."""

    @property
    def can_write(self) -> bool:
        """Whether the connection is open and takes more data at once."""
        return self._is_writable and self._phase is Phase.OPEN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the other side, and begin the handshake or the stream. asyncio calls this, as the methods below."""
        self._transport = cast(asyncio.Transport, transport)
        self.name = transport.get_extra_info("peername")
        self.peer = peer_of(self.name, self._path)
        refusal = self._admit(self) if self._admit is not None else None
        if refusal is not None:
            self._refuse(refusal)
            return
        self._exchange.connections[self] = None
        self._keep_alive(transport.get_extra_info("socket"))
        if self._tls is not None:
            self._transport.pause_reading()
            self._handshake = self._exchange.loop.create_task(self._shake_hands(self._tls))
        else:
            self._greet()

    def data_received(self, data: bytes) -> None:
        """Take data of the other side."""
        self.active_at = self._exchange.loop.time()
        if self._phase is Phase.OPEN:
            self._feed(data)
        elif self._phase is Phase.TOKEN:
            self._early += data
            self._check_token()
        elif self._phase is Phase.HANDSHAKE:
            self._early += data  # it came with the last bytes of the handshake

    def eof_received(self) -> bool:
        """Close the connection; where a flow answers its clients, one that has said all gets a moment more for the answers."""
        if self._phase is not Phase.OPEN or self._admit is None or self._tls is not None or not self._exchange.uses.is_stage:
            return False
        self._end_stream()
        self._timer = self._exchange.loop.call_later(ANSWER_S, self.close)
        return True

    def pause_writing(self) -> None:
        """Stop writing: the other side does not read fast enough."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Go on writing."""
        self._is_writable = True
        self.active_at = self._exchange.loop.time()
        if self._queue is not None:
            self._queue.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Record the end of the connection, and deliver the last frame."""
        if self._phase is Phase.OPEN:
            self._end_stream()
            self._exchange.reports.note("ended", f"{self.peer} has disconnected{f': {exc}' if exc else ''}", level=logging.INFO)
        self._leave(Phase.CLOSING)
        self._exchange.connections.pop(self, None)
        self._exchange.leaving.pop(self, None)
        if not self.lost.done():
            self.lost.set_result(exc)

    def write(self, data: bytes) -> None:
        """Send data to the other side."""
        self._transport.write(data)
        if self._is_writable:
            self.active_at = self._exchange.loop.time()

    def disconnect(self, reason: str) -> None:
        """Close the connection, tell the other side why, and count it."""
        self._close_for("closed", f"{self.peer} is closed: {reason}", reason)

    def close(self) -> None:
        """Close the connection when what was written is sent."""
        if self._phase is Phase.OPEN:
            self._end_stream()
        self._leave(Phase.CLOSING)
        self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Do not read until `resume_reading`."""
        if self._phase is Phase.OPEN:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._phase is Phase.OPEN:
            self._transport.resume_reading()

    def stop_reading(self) -> None:
        """Do not read any more."""
        if self._phase is Phase.OPEN:
            self._transport.pause_reading()
            self._end_stream()

    async def _shake_hands(self, tls: ssl.SSLContext) -> None:
        try:
            transport = await self._exchange.loop.start_tls(
                self._transport, self, tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=LINGER_S
            )
        except OSError as exc:
            problem = (exc.reason if isinstance(exc, ssl.SSLError) else None) or str(exc) or type(exc).__name__
            note = f"{self.peer} is refused: the handshake of TLS failed: {problem}; check that it uses TLS, and the certificates"
            self._exchange.reports.note("refused", note)
            self._leave(Phase.CLOSING)
            # `start_tls` has closed it; that sends the alert, if the other side reads it.
            self._timer = self._exchange.loop.call_later(LINGER_S, self._transport.abort)
        else:
            if transport is not None and self._phase is Phase.HANDSHAKE:
                self._transport = transport
                self._greet()

    def _greet(self) -> None:
        """Ask for the token, if there is one, or begin."""
        secret = self._exchange.options.secret
        if self._admit is not None and secret is not None:
            self._phase = Phase.TOKEN
            note = f"no token came in {HANDSHAKE_S:g} s: send it as the first line"
            self._timer = self._exchange.loop.call_later(HANDSHAKE_S, self._refuse, note)
            self._check_token()
            return
        if secret is not None:
            self._transport.write(secret.line)
        self._open()

    def _check_token(self) -> None:
        line, found, rest = self._early.partition(b"\n")
        secret = self._exchange.options.secret
        if not found:
            if len(line) > FIRST_LINE_BYTES:
                self._refuse("the first line is too long for a token: send the token as the first line")
        elif secret is None or not secret.matches(line):
            self._refuse("the token is wrong: send the shared token as the first line")
        else:
            self._early = rest
            self._open()

    def _open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._phase = Phase.OPEN
        # What waits, waits in the queue. With a limit of 0, asyncio's TLS would never write.
        self._transport.set_write_buffer_limits(high=1 if self._transport.get_extra_info("sslcontext") else 0, low=0)
        exchange = self._exchange
        exchange.reports.note("connected", f"{self.peer} is connected", level=logging.INFO)
        if exchange.uses.is_stage:
            self._queue = self._own_queue or exchange.fanout.add()
            self._queue.attach(self)
        early, self._early = self._early, b""
        if early:
            self._feed(early)
        if exchange.intake.is_closed:
            self.stop_reading()
        elif exchange.intake.is_paused:
            self.pause_reading()

    def _feed(self, data: bytes) -> None:
        items = self._decoder.feed(data)
        if items:
            self._exchange.received(self, items, len(data))
        if self._decoder.problem is not None:
            self.disconnect(str(self._decoder.problem))

    def _end_stream(self) -> None:
        items = self._decoder.end()
        if items:
            self._exchange.received(self, items, 0)

    def _refuse(self, reason: str) -> None:
        self._close_for("refused", f"{self.peer} is refused: {reason}", reason)

    def _close_for(self, kind: str, note: str, reason: str) -> None:
        if self._phase is Phase.CLOSING:
            return
        may_tell = self._tls is None or self._phase is not Phase.HANDSHAKE
        exchange = self._exchange
        exchange.reports.note(kind, note)
        self._leave(Phase.CLOSING)
        exchange.connections.pop(self, None)
        exchange.leaving[self] = None
        if not may_tell or len(exchange.leaving) > MAX_LEAVING:
            self._transport.abort()
            return
        if self._is_writable:
            self._transport.write(exchange.options.framing.notice("closed", reason))
        # What it still sends is read and thrown away for a moment: a socket that is closed before would take the reason back.
        self._transport.resume_reading()
        self._timer = exchange.loop.call_later(LINGER_S, self._transport.abort)
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # it is gone already
            self._transport.abort()

    def _leave(self, phase: Phase) -> None:
        """Leave the phase, and the queue."""
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
        if self._handshake is not None and phase is Phase.CLOSING:
            self._handshake.cancel() if self._handshake is not asyncio.current_task(self._exchange.loop) else None
        queue, self._queue = self._queue, None
        if queue is not None and queue is self._own_queue:
            queue.detach()
        elif queue is not None and (left := self._exchange.fanout.remove(queue)):
            self._exchange.reports.note("dropped", f"{self.peer} is gone, and {counted(left, 'frame')} still waited for it", count=left)

    def _keep_alive(self, connected: socket.socket) -> None:
        silence_s = self._exchange.options.keep_alive_s
        if silence_s is None or connected.family == socket.AF_UNIX:
            return
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        every_s = max(1, round(silence_s))
        for option, value in (("TCP_KEEPIDLE", every_s), ("TCP_KEEPINTVL", max(1, every_s // 3)), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
