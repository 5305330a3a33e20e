"""The private server of a user: the first process that uses the server starts it, and the last one stops it.

The server listens on a Unix socket in a directory of the user (mode 0700, no TCP port) and keeps its data there in an append-only file.
Three lock files beside the socket make this safe for any number of processes:

* ``starting.lock`` is held by a process while it looks for, starts or stops the server: two processes that start at once share one;
* ``users.lock`` is held (shared) by every process that uses the server; the process that releases it last stops the server. The
  kernel releases the lock of a killed process, so a killed process does not count as a user;
* ``server.lock`` is held by the server from its start to its end: ``server.pid`` is valid only while this lock is held.
"""

import fcntl
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notify.errors import EmbeddedServerError
from notify.server.binary import find_server_binary
from notify.server.private import check_owner, make_private

__all__ = ["EmbeddedServer", "default_directory"]

START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 10.0
HUNG_AFTER_S: Final = 4.0
"""A running server that does not answer for this many seconds hangs: it is killed, and started again with its data."""
MAX_SOCKET_PATH_BYTES: Final = 100
"""Below the limits of the systems: 104 bytes on macOS, 108 on Linux."""


def default_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the private server: ``$NOTIFY_HOME``, else ``$XDG_STATE_HOME/notify``, else ``~/.local/state/notify``."""
    if environ.get("NOTIFY_HOME"):
        return Path(environ["NOTIFY_HOME"])
    home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return Path(environ.get("XDG_STATE_HOME") or Path(home, ".local", "state")) / "notify"


class EmbeddedServer:
    """The private server in a directory, for one user of it. The constructor starts the server if it does not run.

    `close` ends the use. The last user of all processes stops the server.

    Args:
        directory: the directory of the server; created if missing.
        environ: the environment with ``NOTIFY_SERVER`` and ``PATH``; usually ``os.environ``.

    Raises:
        NoServerBinaryError: no server runs, and no server program is installed.
        EmbeddedServerError: the server could not be started; the message says why and names its log.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory.absolute()
        self.socket_path = self.directory / "redis.sock"
        self._environ = environ
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH_BYTES:
            raise EmbeddedServerError(f"{self.socket_path} is too long for a socket: set $NOTIFY_HOME to a directory with a shorter path")
        make_private(self.directory)
        self._users = self._open_lock("users.lock")
        try:
            with self._start_lock():
                fcntl.flock(self._users, fcntl.LOCK_SH)
                if not self._answers():
                    self._clean_up()
                    self._start()
        except BaseException:
            os.close(self._users)
            raise

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"unix://{quote(str(self.socket_path))}?db=0"

    @property
    def pid(self) -> int | None:
        """The process id in ``server.pid``, which the server writes; ``None`` without that file."""
        try:
            return int((self.directory / "server.pid").read_text())
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """End this use of the server. The last user stops it; its data are kept. May be called again."""
        if self._users < 0:
            return
        users, self._users = self._users, -1
        try:
            with self._start_lock():
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return  # another process uses the server
                self._stop()
        finally:
            os.close(users)

    def __enter__(self) -> "EmbeddedServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_lock(self, name: str) -> int:
        """Open a lock file, which is never a symbolic link to somewhere else. Returns its file descriptor."""
        try:
            return os.open(self.directory / name, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise EmbeddedServerError(f"{self.directory / name} cannot be used as a lock ({exc.strerror}): remove it") from exc

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Hold ``starting.lock``."""
        lock = self._open_lock("starting.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _answers(self) -> bool:
        """Return whether a server of this user answers on the socket. Waits for a server that is busy or loads its data."""
        check_owner(self.socket_path)
        started_at = time.monotonic()
        client = redis.Redis(unix_socket_path=str(self.socket_path), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
        try:
            while True:
                try:
                    return bool(client.ping())
                except redis.BusyLoadingError:
                    if time.monotonic() - started_at > START_TIMEOUT_S:
                        raise EmbeddedServerError(
                            f"the private server in {self.directory} has not loaded its data after {START_TIMEOUT_S:g} s: try again later"
                        ) from None
                    time.sleep(0.05)
                except redis.TimeoutError:
                    if time.monotonic() - started_at > HUNG_AFTER_S:
                        return False
                except (redis.RedisError, OSError):
                    return False
        finally:
            client.close()

    def _clean_up(self) -> None:
        """Kill a server that runs and does not answer, and remove the files of a server that was killed."""
        self._end_process(signal.SIGKILL)
        self.socket_path.unlink(missing_ok=True)

    def _start(self) -> None:
        """Start a server and wait until it answers."""
        binary = find_server_binary(self._environ, data=self.directory)
        log_path = self.directory / "server.log"
        log_path.unlink(missing_ok=True)
        # fmt: off
        command = [
            str(binary), "--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700",
            "--dir", str(self.directory), "--logfile", str(log_path), "--pidfile", str(self.directory / "server.pid"),
            # In the background and in a session of its own: Ctrl-C in the terminal must not stop the server before its users.
            "--daemonize", "yes",
            "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
            # The append-only file holds plain commands, which Redis and Valkey of any version can load.
            "--aof-use-rdb-preamble", "no",
        ]
        # fmt: on
        lock = self._open_lock("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            started = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, pass_fds=[lock], start_new_session=True
            )
        except OSError as exc:
            raise EmbeddedServerError(f"{binary} cannot be run: {exc.strerror}; set $NOTIFY_SERVER to a server of this machine") from exc
        finally:
            os.close(lock)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if not self._is_running() or time.monotonic() > deadline:
                self._end_process(signal.SIGKILL)
                lines = (
                    (log_path.read_text(errors="replace") if log_path.exists() else started.stdout + started.stderr).strip().splitlines()
                )
                raise EmbeddedServerError(
                    f"{binary} did not start in {self.directory}; read {log_path}, which ends with: {lines[-1] if lines else '(empty)'}"
                )
            time.sleep(0.01)

    def _stop(self) -> None:
        self._end_process(signal.SIGTERM)
        self.socket_path.unlink(missing_ok=True)

    def _is_running(self) -> bool:
        """Return whether a server process runs, which holds ``server.lock``."""
        lock = self._open_lock("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(lock)

    def _end_process(self, signum: signal.Signals) -> None:
        """Send a signal to the server, if it runs, and wait for its end."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        pid = self.pid
        if pid is not None and self._is_running():
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signum)
        while self._is_running():
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the private server in {self.directory} (process {pid}) has not ended after {STOP_TIMEOUT_S:g} s: kill it"
                )
            time.sleep(0.01)
        (self.directory / "server.pid").unlink(missing_ok=True)
