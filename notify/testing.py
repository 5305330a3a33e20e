"""What the tests of services need: a private server, a bus without a server, and waiting without sleeping.

As a pytest fixture::

    @pytest.fixture
    def bus():
        with private_server() as server, notify.connect(server.url) as bus:
            yield bus
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis

from notify.bus import Bus
from notify.errors import EmbeddedServerError
from notify.server import Client, EmbeddedServer
from notify.settings import Settings

__all__ = ["PrivateServer", "fake_bus", "private_server", "wait_until"]

T = TypeVar("T")


class PrivateServer:
    """A real server for one test or one session of tests. Made by `private_server`."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self._environ = environ
        self._server = EmbeddedServer(directory, environ)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            EmbeddedServerError: it does not run.
        """
        pid = self._server.pid
        if pid is None:
            raise EmbeddedServerError(f"the private server in {self.directory} does not run")
        return pid

    def freeze(self) -> None:
        """Let it hang (SIGSTOP): connections stay open, nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it as a crash would (SIGKILL), as soon as what it acknowledged is in its append-only file.

        The server may answer up to two seconds before it writes, while the disk is busy with what came before.
        """
        with redis.Redis.from_url(self.url, socket_timeout=1.0) as client, suppress(redis.RedisError, TimeoutError):
            wait_until(lambda: _is_written(client), what="the append-only file")
        os.kill(self.pid, signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, if it still runs, and start it again with its data."""
        self.close()
        self._server = EmbeddedServer(self.directory, self._environ)

    def close(self) -> None:
        """Stop it, frozen or not."""
        with suppress(EmbeddedServerError, ProcessLookupError):
            self.thaw()
        self._server.close()


@contextmanager
def private_server(environ: Mapping[str, str] | None = None) -> Iterator[PrivateServer]:
    """Run a server of your own, apart from everybody's; stop it and delete its data at the end.

    Args:
        environ: where to look for the binary (``NOTIFY_SERVER``, ``PATH``); by default ``os.environ``.

    Raises:
        NoServerBinaryError: there is none on this machine.
    """
    # Not below $TMPDIR: it can be too long for the path of a socket.
    directory = Path(tempfile.mkdtemp(prefix="notify-", dir="/tmp"))  # mkdtemp makes it ours alone
    server: PrivateServer | None = None
    try:
        server = PrivateServer(directory, os.environ if environ is None else environ)
        yield server
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(directory, ignore_errors=True)


def fake_bus(settings: Settings | None = None) -> Bus:
    """Return a bus without a server, for fast tests of code that publishes, subscribes and keeps state in one process.

    It needs ``fakeredis[lua]``. Use `private_server` for whatever depends on outages, restarts or several processes.
    """
    fakeredis = import_module("fakeredis")
    settings = msgspec.structs.replace(settings or Settings(), url="redis://fake")
    pool = redis.ConnectionPool(connection_class=fakeredis.FakeRedisConnection, server=fakeredis.FakeServer())
    return Bus(Client(pool, settings=settings), name="fake")


def _is_written(client: redis.Redis) -> bool:
    info: Any = client.info("persistence")
    return not info.get("aof_buffer_length") and not info.get("aof_pending_bio_fsync")


def wait_until(condition: Callable[[], T], *, timeout_s: float = 5.0, what: str = "the condition") -> T:
    """Return what ``condition`` gives as soon as it is truthy.

    Args:
        condition: asked again and again.
        timeout_s: for how long.
        what: how the error calls it.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(0.005)
    return result
