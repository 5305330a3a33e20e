"""The other side of a connection: a plain socket, which does what the test says, however rude that is."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator

__all__ = ["Peer", "peer"]

WAIT_S = 10.0


class Peer:
    """A connected socket. `line` and `lines` read, `send` sends, `reset` breaks the connection."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(WAIT_S)
        self.socket = connected
        self._file = connected.makefile("rb")

    def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.socket.sendall(part if isinstance(part, bytes) else part.encode())

    def line(self) -> str:
        """Return the next line, or an empty text at the end."""
        return self._file.readline().decode().removesuffix("\n")

    def lines(self, count: int) -> list[str]:
        return [self.line() for _ in range(count)]

    def rest(self) -> str:
        """Return all that comes until the other side closes the connection."""
        try:
            return self._file.read().decode()
        except ConnectionResetError:
            return ""

    def rest_of_bytes(self) -> bytes:
        """As `rest`, where what comes may be no text."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def reset(self) -> None:
        """Break the connection: the other side gets an error."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def peer(address: int | str, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, small_buffer: bool = False) -> Iterator[Peer]:
    """Connect to a port, or to the path of a Unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in host else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM)
    plain.settimeout(WAIT_S)
    if small_buffer:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        plain.connect(address if isinstance(address, str) else (host, address))
        connected = plain if tls is None else tls.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise
    made = Peer(connected)
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            made.close()
