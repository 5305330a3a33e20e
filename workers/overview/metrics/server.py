"""An HTTP server for the metrics and for probes, in threads of this process."""

import logging
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from notify.bus import Bus
from notify.errors import NotifyError, SettingsError
from workers.overview.metrics.collector import NotifyCollector

__all__ = ["MetricsServer"]

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
"""Seconds that a client may take to send its request."""
TEXT: Final = "text/plain; charset=utf-8"


class MetricsServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` from `open` to `close`; use it as a context manager.

    Args:
        bus: the namespace.
        host, port: the address; port 0 takes a free one.
        not_ready: returns why this process is not ready, or an empty text; called for ``/readyz`` after Redis has answered.
    """

    def __init__(self, bus: Bus, *, host: str = "127.0.0.1", port: int = 0, not_ready: Callable[[], str] = lambda: "") -> None:
        self._bus, self._host, self._port, self._not_ready = bus, host, port, not_ready
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector):
            collector(registry=self._registry)
        self._registry.register(NotifyCollector(bus.redis))
        self._collecting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it listens, as ``host:port``."""
        assert self._server is not None  # noqa: S101  # it is open
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def open(self) -> None:
        """Listen.

        Raises:
            SettingsError: nothing can listen at the address.
        """
        try:
            self._server = _Server((self._host, self._port), self)
        except (OSError, OverflowError) as exc:
            raise SettingsError(
                f"metrics cannot be served at {self._host}:{self._port} ({getattr(exc, 'strerror', None) or exc}): choose another port"
            ) from exc
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="notify-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and wait for the thread."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> "MetricsServer":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and body of the answer to a request."""
        match path.partition("?")[0]:
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                with self._collecting:
                    return 200, content_type, encode(self._registry)
            case "/healthz":
                return 200, TEXT, b"ok\n"
            case "/readyz":
                problem = self._problem()
                return (503 if problem else 200), TEXT, f"{problem or 'ok'}\n".encode()
            case "/":
                return 200, TEXT, b"/metrics /healthz /readyz\n"
            case _:
                return 404, TEXT, b"there is /metrics, /healthz and /readyz\n"

    def _problem(self) -> str:
        try:
            with self._bus.redis.translating("answering a probe"):
                self._bus.redis.ping()
            return self._not_ready()
        except NotifyError as exc:
            return str(exc)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], owner: MetricsServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client is gone."""
        if not isinstance(sys.exception(), OSError):
            log.exception("a request to the port for metrics was not answered")


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server_version = "notify"
    sys_version = ""

    def do_GET(self) -> None:  # the name is that of http.server
        assert isinstance(self.server, _Server)  # noqa: S101  # it makes no other handlers
        status, content_type, body = self.server.owner.answer(self.path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # as above

    def log_message(self, *_: object) -> None:
        """Log nothing: a probe each second would fill the log."""
