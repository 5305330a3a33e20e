"""A TCP proxy before a server, to break what lies between: it passes, or loses answers."""

import selectors
import socket
import threading
from pathlib import Path

SCRIPT = b"EVAL"


class Proxy:
    """Passes everything between its `url` and a server's Unix socket, until it is told otherwise. Use it as a context manager."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._to_lose, self._command = 0, SCRIPT
        self._threads = [threading.Thread(target=self._accept)]
        self.lost = 0
        """Answers that were lost so far."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"

    def lose_answers(self, times: int, *, command: bytes = SCRIPT) -> None:
        """Lose the answers to the next commands of a kind, and their connections with them: the server did what it was asked to."""
        self._to_lose, self._command = times, command

    def __enter__(self) -> "Proxy":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)
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
        with client, socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
            try:
                server.connect(str(self._socket_path))
                selector.register(client, selectors.EVENT_READ, server)
                selector.register(server, selectors.EVENT_READ, client)
                asked = b""
                while not self._closing.is_set():
                    for key, _ in selector.select(0.02):
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # it is a socket
                        asked = data if key.fileobj is client else asked
                        if not data or (key.fileobj is server and self._loses(asked, data)):
                            return
                        key.data.sendall(data)
            except OSError:
                return  # one of the two is gone

    def _loses(self, asked: bytes, answer: bytes) -> bool:
        if self._to_lose == 0 or self._command not in asked or answer.startswith(b"-NOSCRIPT"):
            return False
        self._to_lose -= 1
        self.lost += 1
        return True
