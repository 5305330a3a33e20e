"""URLs of a primary behind Redis Sentinel: ``redis+sentinel://`` and, with TLS, ``rediss+sentinel://``."""

from typing import Any, Final
from urllib.parse import unquote

import redis
from redis.connection import parse_url
from redis.sentinel import Sentinel, SentinelConnectionPool

from notify.server.pool import thrifty

__all__ = ["is_sentinel", "sentinel_pool"]

SCHEMES: Final = ("redis+sentinel://", "rediss+sentinel://")
PORT: Final = 26379
FOR_SENTINELS: Final = "sentinel_"
"""An option of the query with this prefix is for the connections to the Sentinels, for example ``sentinel_password``."""
SHARED: Final = ("socket_", "ssl", "retry")
"""Options whose names begin so are for the connections to the primary and to the Sentinels."""


def is_sentinel(url: str | None) -> bool:
    """Return whether a URL names a primary behind Sentinels."""
    return url is not None and url.startswith(SCHEMES)


def sentinel_pool(url: str, options: dict[str, Any], fixed: dict[str, Any], *, is_shared: bool = False) -> redis.ConnectionPool:
    """Return the pool for ``redis[s]+sentinel://[user:password@]host:port[,host:port...]/master[/db][?option=value&...]``.

    The options of the query are those of redis-py. Those that begin with ``sentinel_`` are for the connections to the Sentinels, those
    about sockets and TLS for these and for the connections to the primary, and all others for the primary.

    Args:
        url: the URL.
        options: options of redis-py, which the query of the URL may replace.
        fixed: options that the query cannot replace.
        is_shared: whether threads share the pool, which then keeps a single connection.

    Raises:
        ValueError, TypeError: a part of the URL, or an option, cannot be used.
    """
    # urlsplit cannot parse a list of hosts, and its newer versions refuse brackets in one.
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    authority, _, path = address.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, db = path.strip("/").partition("/")
    if not hosts or not master:
        raise ValueError("write redis+sentinel://host:26379,host:26379/master/0")
    if db and not db.isdigit():
        raise ValueError("the database must be a number")
    parsed: dict[str, Any] = parse_url(f"redis://?{query}")  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    ours = {name: value for name, value in parsed.items() if not name.startswith(FOR_SENTINELS)}
    theirs = {name.removeprefix(FOR_SENTINELS): value for name, value in parsed.items() if name.startswith(FOR_SENTINELS)}
    login = {"username": unquote(user) or None, "password": unquote(password) or None, "db": int(db or ours.get("db", 0))}
    has_tls = str(ours.pop("ssl", scheme.startswith("rediss"))).lower() in ("true", "yes", "1")
    if not has_tls and any(name.startswith("ssl_") for name in ours):
        raise ValueError("an option of TLS needs TLS: write rediss+sentinel://")
    for_primary = {**options, **login, **ours, "ssl": has_tls, **fixed}
    for_sentinels = {**{name: value for name, value in for_primary.items() if name.startswith(SHARED)}, **theirs}
    sentinels = [_host_and_port(item) for item in hosts.split(",")]
    sentinel = Sentinel(sentinels, sentinel_kwargs=for_sentinels)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    pool_class = thrifty(SentinelConnectionPool) if is_shared else SentinelConnectionPool
    primary: redis.Redis = sentinel.master_for(master, connection_pool_class=pool_class, **for_primary)  # type: ignore[no-untyped-call]  # as above
    pool: redis.ConnectionPool = primary.connection_pool
    return pool


def _host_and_port(item: str) -> tuple[str, int]:
    host, separator, port = (item, "", "") if item.endswith("]") else item.rpartition(":")
    if separator and not port.isdigit():
        raise ValueError("the port of a Sentinel must be a number")
    return (host if separator else item).strip("[]"), int(port) if separator else PORT
