"""The connection to Redis: from a URL to a client that knows its settings and speaks our errors."""

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from notify.errors import ClosedError, NotifyError, ServerRefusedError, ServerUnreachableError, SettingsError
from notify.server.direct import DirectConnection, pipelined
from notify.settings import Settings, redact

__all__ = ["PREFIX", "Client", "open_client", "process_name"]

PREFIX: Final = "notify:"
"""How the name of every connection of ours begins."""
OLDEST_SERVER: Final = (6, 2)
SENTINEL: Final = "redis+sentinel://"
SENTINEL_PORT: Final = 26379
ANSWERS: Final = {"protocol": 2, "decode_responses": False, "encoding": "utf-8", "encoding_errors": "strict"}
"""What answers look like: we count on it, so no URL changes it."""


class Client(redis.Redis):
    """A ``redis.Redis`` that carries the settings it was opened with.

    It can be handed to everything that takes a ``redis.Redis``, RQ for instance; used like that it raises redis-py's
    own errors. Our modules wrap their calls in `translating`.
    """

    def __init__(self, connection_pool: redis.ConnectionPool, *, settings: Settings, owns_pool: bool = True) -> None:
        self._is_closed = False
        super().__init__(connection_pool=connection_pool)
        self.settings = settings
        self.auto_close_connection_pool = owns_pool
        self._direct = DirectConnection(connection_pool, keep=owns_pool)

    @classmethod
    def of(cls, connection: redis.Redis) -> "Client":
        """Return the connection itself if it is one of ours, else ours on its pool, with the settings as they are by default."""
        return connection if isinstance(connection, Client) else cls(connection.connection_pool, settings=Settings(), owns_pool=False)

    @property
    def address(self) -> str:
        """Where the server is, fit for logs and errors."""
        if self.settings.url:
            return redact(self.settings.url)
        where = self.connection_pool.connection_kwargs
        return str(where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}")

    @contextmanager
    def translating(self, action: str) -> Iterator[None]:
        """Turn redis-py's errors within the block into ours; ``action`` says what was being done.

        Raises:
            ClosedError: the client was closed.
        """
        self._check_open()
        try:
            yield
        except NotifyError:
            raise  # translated already; some are built-in errors as well
        except (redis.RedisError, OSError) as exc:
            raise self.translated(exc, action) from exc

    def translated(self, exc: Exception, action: str) -> NotifyError:
        """Our error for one of redis-py's, or of the socket's."""
        if isinstance(exc, redis.AuthenticationError):
            return ServerRefusedError(f"{self.address} refused the user or password while {action}: {exc}")
        if isinstance(exc, redis.ConnectionError | redis.TimeoutError | OSError):
            return ServerUnreachableError(
                f"no answer from {self.address} while {action} ({_brief(exc)}): is the server up, and is the address right?"
            )
        return ServerRefusedError(f"{self.address} refused while {action}: {exc}")

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send one command, once, and return the answer as the server gives it; redis-py's errors, and `ClosedError`.

        ``timeout_s`` is for the answer, instead of that of the settings.
        """
        self._check_open()
        return self._direct.exchange(*command, timeout_s=timeout_s)

    def pipelined(self, commands: Iterable[Sequence[str | bytes | int]], *, in_flight: int) -> Iterator[Any]:
        """Send commands, each once, and yield their answers in order, as `notify.server.direct.pipelined`. Errors as for `exchange`."""
        self._check_open()
        return pipelined(self.connection_pool, commands, in_flight=in_flight)

    def close(self) -> None:
        self._is_closed = True
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connections, also those to the Sentinels: redis-py leaves them open. Whoever needs one again opens it."""
        super().close()
        manager = getattr(self.connection_pool, "sentinel_manager", None)
        if manager is not None and self.auto_close_connection_pool:
            for sentinel in manager.sentinels:
                sentinel.close()

    def _check_open(self) -> None:
        # redis-py would open another connection, and nobody would close that.
        if self._is_closed:
            raise ClosedError(f"the connection to {self.address} was closed: connect again")

    def clone(self, *, name: str, timeout_s: float | None = None) -> "Client":
        """Open a client of its own to the same server, with ``name`` in ``CLIENT LIST``, and another timeout for commands if given."""
        if self.settings.url and self.settings.url.startswith(SENTINEL):
            return open_client(self.settings, name=name, timeout_s=timeout_s)
        # A stranger's pool may speak RESP 3, and then redis-py keeps what it needs for that among the options.
        kept = {key: value for key, value in self.connection_pool.connection_kwargs.items() if not key.startswith(("maint_", "orig_"))}
        options = {**kept, **ANSWERS, "client_name": _client_name(name)}
        if timeout_s is not None:
            options["socket_timeout"] = timeout_s
        return Client(redis.ConnectionPool(self.connection_pool.connection_class, **options), settings=self.settings)

    def check(self) -> None:
        """Make sure that somebody answers, and that it is a server we can work with.

        Raises:
            ServerUnreachableError: nobody answers at the address.
            ServerRefusedError: it wants another password, or is older than Redis 6.2.
        """
        with self.translating("connecting"):
            info: Any = self.info("server")
        version = str(info.get("redis_version", "0"))
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
            raise ServerRefusedError(f"{self.address} is Redis {version}: at least {OLDEST_SERVER[0]}.{OLDEST_SERVER[1]} is needed")


def process_name() -> str:
    """What this process calls itself where nothing better is known: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def open_client(settings: Settings, *, name: str, timeout_s: float | None = None) -> Client:
    """Make a client for the server of ``settings``; nothing is sent yet.

    Args:
        settings: where the server is, and how long to wait for it; ``settings.url`` must be set.
        name: what ``CLIENT LIST`` shows for it.
        timeout_s: for the answer to a command, instead of that of the settings.

    Raises:
        SettingsError: the URL cannot be used.
    """
    if settings.url is None:
        raise SettingsError("no URL to connect to: give one, or start the private server first")
    options: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_timeout": timeout_s or settings.command_timeout_s,
        # A write whose answer was lost must not be sent twice: whoever can repeat a step safely repeats it himself.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 15,
        "client_name": _client_name(name),
    }
    try:
        if settings.url.startswith(SENTINEL):
            pool = _sentinel_pool(settings.url, {**options, **ANSWERS})
        else:
            stated = parse_url(settings.url)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            pool = redis.ConnectionPool(**{**options, **stated, **ANSWERS})
        pool.connection_class(**pool.connection_kwargs)  # or an unknown option would not be told before the first command
    except (ValueError, TypeError, redis.RedisError) as exc:
        raise SettingsError(f"{redact(settings.url)!r} cannot be used as the URL of a Redis server: {exc}") from exc
    return Client(pool, settings=settings)


def _sentinel_pool(url: str, options: dict[str, Any]) -> redis.ConnectionPool:
    """The pool for ``redis+sentinel://[user:password@]host:port[,host:port...]/master[/db]``."""
    # By hand: several hosts are no URL to urlsplit, and newer ones of it refuse brackets among them.
    place, _, path = url.removeprefix(SENTINEL).partition("?")[0].partition("/")
    credentials, _, hosts = place.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, db = path.strip("/").partition("/")
    if not hosts or not master:
        raise ValueError("write redis+sentinel://host:26379,host:26379/master/0")
    if db and not db.isdigit():
        raise ValueError("the database is a number")
    sentinels = [_host_and_port(item) for item in hosts.split(",")]
    patience = {key: options[key] for key in ("socket_connect_timeout", "socket_timeout", "retry")}
    sentinel = Sentinel(sentinels, sentinel_kwargs=patience)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    login = {"username": unquote(user) or None, "password": unquote(password) or None, "db": int(db or 0)}
    pool: redis.ConnectionPool = sentinel.master_for(master, **{**options, **login}).connection_pool  # type: ignore[no-untyped-call]  # as above
    return pool


def _host_and_port(item: str) -> tuple[str, int]:
    host, separator, port = (item, "", "") if item.endswith("]") else item.rpartition(":")
    if separator and not port.isdigit():
        raise ValueError("the port of a Sentinel is a number")
    return (host if separator else item).strip("[]"), int(port) if separator else SENTINEL_PORT


def _client_name(name: str) -> str:
    return "".join(c if "!" <= c <= "~" else "_" for c in PREFIX + name)  # the server takes no others


def _brief(exc: BaseException) -> str:
    return " ".join(str(exc).split()).rstrip(".") or type(exc).__name__
