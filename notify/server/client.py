"""The Redis client of the package: it is opened from the settings, and translates errors of redis-py into those of the package."""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from notify.errors import ClosedError, NotifyError, ServerRefusedError, ServerUnreachableError, SettingsError
from notify.keys import Keys
from notify.server.direct import DirectConnection, pipelined
from notify.server.memory import MEMORY, memory_pool
from notify.server.pool import DRIVER, is_thrifty, thrifty
from notify.server.sentinel import is_sentinel, sentinel_pool
from notify.server.tls import tls_problem_of
from notify.settings import Settings, positive, redact

__all__ = ["ANSWER_S", "ONE_ATTEMPT", "PREFIX", "Client", "open_client"]

PREFIX: Final = "notify:"
"""The prefix of the name of every connection in ``CLIENT LIST``."""
ONE_ATTEMPT: Final = -1.0
"""The value of ``retry_s`` that means a single attempt."""
ANSWER_S: Final = 2.0
"""Seconds after which a part of the package gives up a connection on which it waits for an answer, if the settings do not say fewer.
With a probe each second, a connection whose packets vanish is noticed within three seconds."""
OLDEST_SERVER: Final = (6, 2)
ANSWERS: Final = {"protocol": 2, "decode_responses": False, "encoding": "utf-8", "encoding_errors": "strict", "driver_info": DRIVER}
"""redis-py options that fix the format of answers: RESP 2 and bytes. The package depends on it, so a URL cannot change them."""

log = logging.getLogger(__name__)


class Client(redis.Redis):
    """A ``redis.Redis`` with the settings it was opened with.

    A client can be passed to everything that takes a ``redis.Redis``, such as RQ. Its commands raise the errors of redis-py; the
    modules of this package wrap them in `translating`.

    Args:
        connection_pool: the pool of redis-py to take connections from.
        settings: the settings of the caller.
        owns_pool: whether the client is the only user of the pool: it may keep a connection, and `close` closes the pool.
    """

    def __init__(self, connection_pool: redis.ConnectionPool, *, settings: Settings, owns_pool: bool = True) -> None:
        self._is_closed = False
        super().__init__(connection_pool=connection_pool)
        self.settings = settings
        self.auto_close_connection_pool = owns_pool
        self._direct = DirectConnection(connection_pool, keep=owns_pool and not is_thrifty(connection_pool))
        self.timeouts = 0
        """How many commands got no answer in time. Connections that other processes opened before may be lost as well."""

    @classmethod
    def of(cls, connection: redis.Redis) -> "Client":
        """Return the connection itself if it is a `Client`, else a client on its pool with default settings."""
        return connection if isinstance(connection, Client) else cls(connection.connection_pool, settings=Settings(), owns_pool=False)

    @property
    def address(self) -> str:
        """The address of the server, without a password, for logs and errors."""
        if self.settings.url:
            return redact(self.settings.url)
        options = self.connection_pool.connection_kwargs
        return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")

    @property
    def own_keys(self) -> Keys:
        """The keys and channels of the namespace in the database that this client uses."""
        return Keys(self.settings.namespace, int(self.connection_pool.connection_kwargs.get("db") or 0))

    @contextmanager
    def translating(self, action: str) -> Iterator[None]:
        """Translate errors of redis-py and of the socket in the block into errors of this package.

        Args:
            action: what the block does, for error messages, for example ``listing the topics``.

        Raises:
            ClosedError: the client is closed.
            ServerUnreachableError: the server did not answer.
            ServerRefusedError: the server answered with an error.
        """
        self.check_open()
        try:
            yield
        except NotifyError:
            raise  # it is translated already, and may be an OSError as well
        except (redis.RedisError, OSError) as exc:
            raise self.translated(exc, action) from exc

    def translated(self, exc: Exception, action: str) -> NotifyError:
        """Return the error of this package for an error of redis-py or of the socket; ``action`` as for `translating`."""
        if isinstance(exc, redis.TimeoutError):
            self.timeouts += 1
            self._direct.drop_idle()
        if isinstance(exc, redis.AuthenticationError):
            return ServerRefusedError(f"{self.address} refused the user or password while {action}: {exc}")
        tls_problem = tls_problem_of(exc)
        if tls_problem:
            return ServerUnreachableError(f"no TLS connection to {self.address} while {action}: {tls_problem}")
        if isinstance(exc, redis.ConnectionError | redis.TimeoutError | OSError):
            tls = ", and that it speaks TLS there" if (self.settings.url or "").startswith("rediss") else ""
            room = ", and that it has room for one more connection (maxclients)" if "pipe" in str(exc) or "by server" in str(exc) else ""
            remedy = f"check that the server runs and that the address is right{tls}{room}"
            return ServerUnreachableError(f"no answer from {self.address} while {action} ({_brief(exc)}): {remedy}")
        return ServerRefusedError(f"{self.address} refused a command while {action}: {exc}")

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send one command, without repeating it, and return the answer without the conversions of redis-py.

        Args:
            command: the command and its arguments.
            timeout_s: seconds to wait for the answer, instead of the timeout of the settings.

        Raises:
            ClosedError: the client is closed.
            redis.RedisError, OSError: not translated.
        """
        self.check_open()
        return self._direct.exchange(*command, timeout_s=timeout_s)

    def pipelined(self, commands: Iterable[Sequence[str | bytes | int]], *, in_flight: int) -> Iterator[Any]:
        """Send commands and yield their answers, as `notify.server.direct.pipelined` does. Errors as for `exchange`."""
        self.check_open()
        return pipelined(self.connection_pool, commands, in_flight=in_flight)

    def close(self) -> None:
        """Close the connections. `translating`, `exchange` and `pipelined` then raise `ClosedError`."""
        self._is_closed = True
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connections, including those to Sentinels, which redis-py leaves open. The next command opens a new one."""
        super().close()
        manager = getattr(self.connection_pool, "sentinel_manager", None)
        if manager is not None and self.auto_close_connection_pool:
            for sentinel in manager.sentinels:
                sentinel.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def check_open(self) -> None:
        """Raise `ClosedError` if the client is closed."""
        # Without this check redis-py would open a new connection, which nothing would close.
        if self._is_closed:
            raise ClosedError(f"the connection to {self.address} is closed: connect again")

    def clone(self, *, name: str, timeout_s: float | None = None, is_shared: bool = False, protocol: int = 2) -> "Client":
        """Return a new client with its own connections to the same server. It repeats no command.

        Args:
            name: the name in ``CLIENT LIST``.
            timeout_s: seconds to wait for the answer to a command; by default the timeout of the settings, at most `ANSWER_S`.
            is_shared: whether threads share the client: then it keeps a single connection open, and opens others only while several
                threads send commands at once.
            protocol: 3 for connections on which the server pushes messages; otherwise 2, which the rest of the package expects.
        """
        timeout_s = min(self.settings.command_timeout_s, ANSWER_S) if timeout_s is None else timeout_s
        if is_sentinel(self.settings.url):
            return open_client(self.settings, name=name, timeout_s=timeout_s, is_shared=is_shared, protocol=protocol)
        # For a pool of the application that uses RESP 3, redis-py adds options that do not fit RESP 2.
        kept = {key: value for key, value in self.connection_pool.connection_kwargs.items() if not key.startswith(("maint_", "orig_"))}
        limits = {"socket_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
        if kept.get("socket_connect_timeout") is None:
            limits["socket_connect_timeout"] = self.settings.connect_timeout_s
        options = {**kept, **limits, **_answers(protocol), "client_name": _client_name(name)}
        pool_class = thrifty(redis.ConnectionPool) if is_shared else redis.ConnectionPool
        return Client(pool_class(self.connection_pool.connection_class, **options), settings=self.settings)

    def bounded(self, *, name: str) -> "Client":
        """Return this client if it waits at most `ANSWER_S` for an answer, else a clone that does, for threads to share."""
        waits_s = self.connection_pool.connection_kwargs.get("socket_timeout")
        is_bounded = self._is_fake or (waits_s is not None and waits_s <= ANSWER_S)
        return self if is_bounded else self.clone(name=name, is_shared=True)

    def connect(self, *, retry_s: float = ONE_ATTEMPT) -> None:
        """Check that the server answers and is supported.

        Args:
            retry_s: seconds between attempts while the server is unreachable; by default there is one attempt.

        Raises:
            SettingsError: the server is unreachable, and ``retry_s`` is not above 0.
            ServerUnreachableError: the server is unreachable, and there is one attempt.
            ServerRefusedError: the server refuses the password, or is older than Redis 6.2.
        """
        while True:
            try:
                return self._check()
            except ServerUnreachableError as exc:
                if retry_s == ONE_ATTEMPT or tls_problem_of(exc):  # no later attempt makes a certificate valid
                    raise
            time.sleep(positive(retry_s, "retry_s"))

    def require_server(self, user: str) -> None:
        """Raise `SettingsError` if this is a client of a fake server in this process. ``user`` says for whom that is not enough."""
        if self._is_fake:
            raise SettingsError(
                f"{user} needs a Redis server, and {self.address} is a fake one inside this process: connect to a server, or without a URL "
                "to the private server"
            )

    def server_info(self) -> Any:
        """Return the section ``server`` of ``INFO``. A fake server has none: it is this process. Errors as redis-py raises them.

        A user who may not run ``INFO`` gets the version from ``HELLO``, without the process id, and an empty result if that is refused too.
        """
        if self._is_fake:
            return {"redis_version": "8.0", "process_id": os.getpid()}
        try:
            return self.info("server")
        except redis.ResponseError as refusal:
            log.debug("%s refuses INFO, and tells no process id: %s", self.address, refusal)
        try:
            flat = self._direct.exchange("HELLO")
        except redis.ResponseError as refusal:
            log.info("%s refuses INFO and HELLO: its version is not checked: %s", self.address, refusal)
            self.ping()  # a user who may not even do this cannot use the server
            return {}
        hello = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True) if isinstance(value, bytes)}
        return {f"{hello['server']}_version": hello["version"]}

    @property
    def _is_fake(self) -> bool:
        return (self.settings.url or "").startswith(MEMORY)

    def _check(self) -> None:
        with self.translating("connecting"):
            info = self.server_info()
        version = info.get("redis_version")
        if version and tuple(int(part) for part in str(version).split(".")[:2]) < OLDEST_SERVER:
            raise ServerRefusedError(
                f"{self.address} is Redis {version}: use Redis {OLDEST_SERVER[0]}.{OLDEST_SERVER[1]} or newer, or Valkey"
            )


def open_client(settings: Settings, *, name: str, timeout_s: float | None = None, is_shared: bool = False, protocol: int = 2) -> Client:
    """Return a client for the server of ``settings``. It connects with the first command.

    Args:
        settings: the address of the server and the timeouts; ``settings.url`` must be set.
        name: the name in ``CLIENT LIST``.
        timeout_s: seconds to wait for the answer to a command, instead of the timeout of the settings or the URL.
        is_shared, protocol: as for `Client.clone`.

    Raises:
        SettingsError: the URL is missing or cannot be used.
    """
    if settings.url is None:
        raise SettingsError("the settings have no URL: give one, or start the private server first")
    options: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_timeout": settings.command_timeout_s,
        # No retries by redis-py: a write whose answer was lost must not be sent twice. Callers repeat the steps that can be repeated.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 15,
        "client_name": _client_name(name),
    }
    fixed = _answers(protocol) if timeout_s is None else {**_answers(protocol), "socket_timeout": timeout_s}
    if settings.url.startswith(MEMORY):
        return Client(memory_pool(settings.url, client_name=options["client_name"]), settings=settings)
    try:
        if is_sentinel(settings.url):
            pool = sentinel_pool(settings.url, options, fixed, is_shared=is_shared)
        else:
            url_options = parse_url(settings.url)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            pool_class = thrifty(redis.ConnectionPool) if is_shared else redis.ConnectionPool
            pool = pool_class(**{**options, **url_options, **fixed})
        pool.connection_class(**pool.connection_kwargs)  # raises for an unknown option now, not at the first command
    except (ValueError, TypeError, redis.RedisError) as exc:
        raise SettingsError(f"{redact(settings.url)!r} cannot be used as the URL of a Redis server: {exc}") from exc
    return Client(pool, settings=settings)


def _answers(protocol: int) -> dict[str, Any]:
    """Return the options of redis-py that fix the format of answers."""
    if protocol == ANSWERS["protocol"]:
        return ANSWERS
    # redis-py would ask a server that speaks RESP 3 for news of its maintenance, which only one vendor's sends.
    return {**ANSWERS, "protocol": protocol, "maint_notifications_config": MaintNotificationsConfig(enabled=False)}


def _client_name(name: str) -> str:
    return "".join(c if "!" <= c <= "~" else "_" for c in PREFIX + name)  # the server accepts no other characters


def _brief(exc: BaseException) -> str:
    return " ".join(str(exc).split()).rstrip(".") or type(exc).__name__
