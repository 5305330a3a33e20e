"""A proxy before a server that loses an answer when it is told to: the command was run, and nobody learns of it."""

import select
import socket
import threading
from types import TracebackType


class Proxy:
    """Listens on a port of this machine and passes everything on to the server's unix socket, and back."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._to_lose: bytes | None = None
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"

    def lose_answer_to(self, command: bytes) -> None:
        """Let the connection break, once, after the server has answered the next such command."""
        self._to_lose = command

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # the end
            self._threads.append(threading.Thread(target=self._pass_on, args=(client,)))
            self._threads[-1].start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._socket_path)
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for source in readable:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is server:
                        client.sendall(data)
                        continue
                    server.sendall(data)
                    if self._to_lose is not None and self._to_lose in data:
                        self._to_lose = None
                        server.recv(1 << 16)
                        return
