"""A server on a free loopback port, as most measurements use it; all sides run on it."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from notify.server.binary import find_server_binary
from notify.testing import wait_until

__all__ = ["loopback_server"]


@contextmanager
def loopback_server() -> Iterator[str]:
    """Run a server without persistence; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [str(find_server_binary(os.environ)), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port) as client:
                wait_until(lambda: _answers(client), what="the start of the server")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
