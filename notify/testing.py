"""Tools for tests of applications: a server of their own, a bus without a server, recordings, and a wait for a condition.

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
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import redis

from notify.bus import Bus
from notify.errors import EmbeddedServerError
from notify.flows.recording import RecordedEvents, recorded_events
from notify.server import EmbeddedServer, open_client
from notify.settings import Settings

__all__ = ["PrivateServer", "RecordedEvents", "fake_bus", "private_server", "recorded_events", "wait_until"]

T = TypeVar("T")


class PrivateServer:
    """A real server for one test or for a session of tests. Made by `private_server`."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self._environ = environ
        self._server = EmbeddedServer(directory, environ)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return self._server.url

    @property
    def pid(self) -> int:
        """The process id of the server process.

        Raises:
            EmbeddedServerError: the server does not run.
        """
        pid = self._server.pid
        if pid is None:
            raise EmbeddedServerError(f"the private server in {self.directory} does not run: restart it")
        return pid

    def freeze(self) -> None:
        """Suspend the server process (SIGSTOP): connections stay open, and commands are not answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the server process after `freeze` (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the server process (SIGKILL), as in a crash, when all acknowledged writes are in its append-only file.

        While the disk is busy, a write may reach the file up to two seconds after the server has acknowledged it.
        """
        # One that is frozen or gone is killed as it is.
        with redis.Redis.from_url(self.url, socket_timeout=1.0) as client, suppress(redis.RedisError, TimeoutError):
            wait_until(lambda: _is_written(client), what="the append-only file")
        os.kill(self.pid, signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server, if it runs, and start it again with its data."""
        self.close()
        self._server = EmbeddedServer(self.directory, self._environ)

    def close(self) -> None:
        """Stop the server, also if it is frozen. Its data are kept."""
        with suppress(EmbeddedServerError, ProcessLookupError):  # it does not run
            self.thaw()
        self._server.close()


@contextmanager
def private_server(environ: Mapping[str, str] | None = None) -> Iterator[PrivateServer]:
    """Run a server for the block; at the end the server is stopped and its data are deleted.

    Args:
        environ: the environment with ``NOTIFY_SERVER`` and ``PATH``; by default ``os.environ``.

    Raises:
        NoServerBinaryError: no server program is installed.
        EmbeddedServerError: the server could not be started.
    """
    # Not in $TMPDIR, which can be too long for the path of a socket.
    directory = Path(tempfile.mkdtemp(prefix="notify-", dir="/tmp"))  # mkdtemp gives it mode 0700
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

    It is ``connect("memory://")``, and needs the extra ``testing``. Use `private_server` for tests that depend on outages, restarts or
    several processes.
    """
    return Bus(open_client(msgspec.structs.replace(settings or Settings(), url="memory://"), name="fake"), name="fake")


def _is_written(client: redis.Redis) -> bool:
    """Return whether all writes of the server are in its append-only file."""
    info: Any = client.info("persistence")
    return not info.get("aof_buffer_length") and not info.get("aof_pending_bio_fsync")


def wait_until(condition: Callable[[], T], *, timeout_s: float = 5.0, what: str = "the condition") -> T:
    """Call ``condition`` until it returns a true value, and return that value.

    Args:
        condition: called every few milliseconds.
        timeout_s: seconds to wait at most.
        what: the name of the condition in the error.

    Raises:
        TimeoutError: the condition was still false after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting for {what} after {timeout_s:g} s")
        time.sleep(0.005)
    return result
