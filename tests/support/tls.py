"""A server that speaks TLS: it ends the encryption in front of a server under test, whose build may have none."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["TLSFront"]


class TLSFront:
    """Accepts TLS on a loopback port, and forwards to the Unix socket of a server. Use it as a context manager.

    Args:
        server: the Unix socket of the server.
        context: the certificate and the rules of this side.
    """

    def __init__(self, server: Path, context: ssl.SSLContext) -> None:
        self._server = server
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def __enter__(self) -> "TLSFront":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in [self._listening, *self._open]:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(plain)
            try:
                client = self._context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()  # the client refused the certificate, or speaks no TLS
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=_forward, args=(source, target)))
                self._threads[-1].start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
