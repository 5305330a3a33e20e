"""The page, served on a free port by a thread of this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

import notify
from cli.web import Access, web_app
from notify.testing import wait_until


@contextmanager
def served(bus: notify.Bus, access: Access | None = None, **options: Any) -> Iterator[str]:
    """Serve the page. Yields its URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        app = web_app(bus, access=access or Access(allow_actions=True), hosts=("localhost", "127.0.0.1"), **options)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started, what="the page")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
