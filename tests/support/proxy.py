"""A TCP proxy in front of a server: it forwards, drops answers, holds all traffic, or leads to another server."""

import selectors
import socket
import threading
import time
from enum import Enum
from pathlib import Path

SCRIPT = b"EVAL"
AWAY_S = 0.3


class Break(Enum):
    """How a connection breaks at a request: the server does not get it, or its answer is lost, or the server is away from then on."""

    CUT = "cut"
    LOST = "lost"
    AWAY = "away"


class _Link:
    """A connection through the proxy: what was asked last, and whether its packets or its next answer are lost."""

    def __init__(self) -> None:
        self.asked = b""
        self.is_asking = self.is_swallowed = self.is_doomed = False


class Proxy:
    """Forwards all traffic between `url` and a server, until a method changes that. Use it as a context manager.

    Args:
        server: the Unix socket of the server, or its port on loopback.
    """

    def __init__(self, server: Path | int) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._to_lose, self._command = 0, SCRIPT
        self._passing, self._holding = threading.Lock(), False
        self._vanished = 0
        self._swallowed = b""
        self._marker, self._until_break, self._break = b"", 0, Break.LOST
        self._away_until = 0.0
        self._threads = [threading.Thread(target=self._accept)]
        self.lost = 0
        """Number of dropped answers."""

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose_answers(self, times: int, *, command: bytes = SCRIPT) -> None:
        """Drop the answers to the next ``times`` commands of a kind, and close their connections. The server has run the commands."""
        self._to_lose, self._command = times, command

    def hold(self) -> None:
        """Stop forwarding in both directions, and leave the connections open."""
        self._passing.acquire()  # waits until the data in flight is forwarded
        self._holding = True

    def vanish(self) -> None:
        """Lose all packets of the connections that there are, in both directions; nobody is told. New connections work."""
        with self._passing:  # what comes after this is lost
            self._vanished += 1

    def swallow(self, command: bytes) -> None:
        """Lose all packets of each connection over which a command that contains this is sent from now on; ``b""``: of no other one."""
        self._swallowed = command

    def break_at(self, number: int, marker: bytes, how: "Break") -> None:
        """Break the connection at the request that is the ``number``-th from now on that contains ``marker``; 0: no more."""
        with self._passing:
            self._until_break, self._marker, self._break = number, marker, how

    @property
    def has_broken(self) -> bool:
        """Whether the request came at which `break_at` was to break the connection."""
        return self._until_break <= 0

    def _breaks(self, request: bytes) -> bool:
        if self._until_break <= 0 or self._marker not in request:
            return False
        self._until_break -= 1
        if self._until_break:
            return False
        if self._break is Break.AWAY:
            self._away_until = time.monotonic() + AWAY_S
        return True

    def lead_to(self, server: Path | int) -> None:
        """Forward to another server from now on; connections to the previous server are closed."""
        self._server = server

    def __enter__(self) -> "Proxy":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        if self._holding:
            self._passing.release()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        leads_to, vanished = self._server, self._vanished
        link = _Link()
        with client, _socket_for(leads_to) as server, selectors.DefaultSelector() as selector:
            try:
                server.connect(str(leads_to) if isinstance(leads_to, Path) else ("127.0.0.1", leads_to))
                selector.register(client, selectors.EVENT_READ, server)
                selector.register(server, selectors.EVENT_READ, client)
                while not self._closing.is_set() and self._server == leads_to and time.monotonic() >= self._away_until:
                    if self._vanished != vanished or link.is_swallowed:
                        self._closing.wait()
                        return
                    ready = selector.select(0.02)
                    with self._passing:
                        if self._closing.is_set():
                            return
                        for key, _ in ready if self._vanished == vanished else ():
                            data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # it is a socket
                            if not data or self._ends(link, data, asks=key.fileobj is client):
                                return
                            if not link.is_swallowed:
                                key.data.sendall(data)
            except OSError:
                return  # one of the two sides is gone

    def _ends(self, link: "_Link", data: bytes, *, asks: bool) -> bool:
        """Note what passes a connection. Returns whether that ends it, instead of being forwarded."""
        if not asks:
            link.is_asking = False
            return link.is_doomed or self._loses(link.asked, data)
        link.asked = link.asked + data if link.is_asking else data  # a long command arrives in several pieces
        link.is_asking = True
        link.is_swallowed = link.is_swallowed or (bool(self._swallowed) and self._swallowed in link.asked)
        if self._breaks(data):
            if self._break is not Break.LOST:
                return True
            link.is_doomed = True
        return False

    def _loses(self, asked: bytes, answer: bytes) -> bool:
        if self._to_lose == 0 or self._command not in asked or answer.startswith(b"-NOSCRIPT"):
            return False
        self._to_lose -= 1
        self.lost += 1
        return True


def _socket_for(server: Path | int) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(server, Path) else socket.AF_INET)
