"""The private server: found if it runs, started if it does not, stopped by the last one who uses it.

It listens on a unix socket in a directory of the user's own (mode 0700, no TCP port) and keeps its data in an
append-only file there. Files beside the socket make it safe for any number of processes:

* ``starting.lock`` is held while somebody looks, starts or stops: two processes that start at once get one server;
* ``users.lock`` is held, shared, by every process that uses the server: the last one out stops it. The kernel drops
  the lock of a process that was killed, so nobody is waited for in vain;
* ``server.lock`` is held by the server itself, from its start to its end: ``server.pid`` is believed only while it is.
"""

import fcntl
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notify.errors import EmbeddedServerError
from notify.server.binary import find_server_binary

__all__ = ["EmbeddedServer", "default_directory"]

START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 10.0
HUNG_AFTER_S: Final = 4.0
"""A server that is there and silent for that long does not work any more: it is ended, and started again with its data."""
MAX_SOCKET_PATH_BYTES: Final = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux."""


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where the private server of this user lives: ``$NOTIFY_HOME``, else ``$XDG_STATE_HOME/notify``, else ``~/.local/state/notify``."""
    if environ.get("NOTIFY_HOME"):
        return Path(environ["NOTIFY_HOME"])
    home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(environ.get("XDG_STATE_HOME") or Path(home, ".local", "state")) / "notify"


class EmbeddedServer:
    """A use of the private server in ``directory``; `close` ends the use, and the server with the last one.

    Args:
        directory: where it lives; made if missing.
        environ: where to look for a binary; usually ``os.environ``.

    Raises:
        NoServerBinaryError: no server runs, and there is none to start.
        EmbeddedServerError: it would not start; the message says why and names its log.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory.absolute()
        self.socket_path = self.directory / "redis.sock"
        self._environ = environ
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH_BYTES:
            raise EmbeddedServerError(f"{self.socket_path} is too long for a socket: set $NOTIFY_HOME to a directory with a shorter name")
        self._make_directory()
        self._users = os.open(self.directory / "users.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            with self._starting():
                fcntl.flock(self._users, fcntl.LOCK_SH)
                if not self._answers():
                    self._clear_away()
                    self._start()
        except BaseException:
            os.close(self._users)
            raise

    @property
    def url(self) -> str:
        """The URL of the server, for ``redis-cli -u`` as well."""
        return f"unix://{self.socket_path}?db=0"

    @property
    def pid(self) -> int | None:
        """The server's process id."""
        try:
            return int((self.directory / "server.pid").read_text())
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End this use. The last user stops the server; its data stay. May be called again."""
        if self._users < 0:
            return
        users, self._users = self._users, -1
        try:
            with self._starting():
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return  # somebody else still uses it
                self._stop()
        finally:
            os.close(users)

    def __enter__(self) -> "EmbeddedServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if self.directory.stat().st_uid != os.getuid():
                raise EmbeddedServerError(f"{self.directory} belongs to somebody else: set $NOTIFY_HOME to a directory of your own")
            self.directory.chmod(0o700)
        except OSError as exc:
            raise EmbeddedServerError(f"cannot use {self.directory} for the private server ({exc}): set $NOTIFY_HOME to another") from exc

    @contextmanager
    def _starting(self) -> Iterator[None]:
        lock = os.open(self.directory / "starting.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _answers(self) -> bool:
        """Whether a server answers on the socket; one that is busy, or still loads its data, is waited for."""
        started_at = time.monotonic()
        client = redis.Redis(unix_socket_path=str(self.socket_path), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        try:
            while True:
                try:
                    return bool(client.ping())
                except redis.BusyLoadingError:
                    if time.monotonic() - started_at > START_TIMEOUT_S:
                        raise EmbeddedServerError(
                            f"the private server in {self.directory} takes over {START_TIMEOUT_S:g} s to load its data"
                        ) from None
                    time.sleep(0.05)
                except redis.TimeoutError:
                    if time.monotonic() - started_at > HUNG_AFTER_S:
                        return False
                except (redis.RedisError, OSError):
                    return False
        finally:
            client.close()

    def _clear_away(self) -> None:
        """Remove what a killed server left behind, and end one that runs but answers nobody."""
        self._end_process(signal.SIGKILL)
        self.socket_path.unlink(missing_ok=True)

    def _start(self) -> None:
        binary = find_server_binary(self._environ, data=self.directory)
        log_path = self.directory / "server.log"
        log_path.unlink(missing_ok=True)
        # fmt: off
        command = [
            str(binary), "--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700",
            "--dir", str(self.directory), "--logfile", str(log_path), "--pidfile", str(self.directory / "server.pid"),
            # In the background and, from its start, in a session of its own: Ctrl-C in the terminal must not reach it
            # before its users are done.
            "--daemonize", "yes",
            "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
            # Plain commands in the append-only file: Redis and Valkey of any version read each other's.
            "--aof-use-rdb-preamble", "no",
        ]
        # fmt: on
        lock = os.open(self.directory / "server.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            started = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, pass_fds=[lock], start_new_session=True
            )
        finally:
            os.close(lock)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not self._holds_lock() or time.monotonic() > deadline:
                self._end_process(signal.SIGKILL)
                said = (log_path.read_text(errors="replace") if log_path.exists() else started.stdout + started.stderr).strip().splitlines()
                raise EmbeddedServerError(
                    f"{binary} did not start in {self.directory}; the last it said ({log_path}): {said[-1] if said else 'nothing'}"
                )
            time.sleep(0.01)

    def _stop(self) -> None:
        self._end_process(signal.SIGTERM)
        self.socket_path.unlink(missing_ok=True)

    def _holds_lock(self) -> bool:
        """Whether a server process lives."""
        lock = os.open(self.directory / "server.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(lock)

    def _end_process(self, signum: signal.Signals) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        pid = self.pid
        if pid is not None and self._holds_lock():
            os.kill(pid, signum)
        while self._holds_lock():
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"the private server in {self.directory} (process {pid}) does not end")
            time.sleep(0.01)
        (self.directory / "server.pid").unlink(missing_ok=True)
