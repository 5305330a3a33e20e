"""A fake Redis server in the memory of this process, for tests: fakeredis, which is an extra."""

from importlib import import_module
from typing import Any, Final

import redis

from notify.errors import SettingsError

__all__ = ["MEMORY", "memory_pool"]

MEMORY: Final = "memory://"
"""The beginning of the URL of a fake server. ``memory://`` is a new one, ``memory://lab`` the one with that name in this process."""
VERSION: Final = (8,)


def memory_pool(url: str, **options: Any) -> redis.ConnectionPool:
    """Return a pool of connections to the fake server of a URL.

    Args:
        url: ``memory://``, or ``memory://<name>``.
        options: options of the connections.

    Raises:
        SettingsError: fakeredis is not installed.
    """
    try:
        fakeredis = import_module("fakeredis")
        import_module("lupa")  # without it, fakeredis runs no scripts
    except ImportError as exc:
        raise SettingsError(f"{url!r} needs fakeredis with Lua: pip install 'notify-workers[testing]'") from exc
    name = url.removeprefix(MEMORY)
    server = fakeredis.FakeServer.get_server(f"{MEMORY}{name}", VERSION, "redis") if name else fakeredis.FakeServer(VERSION)
    return redis.ConnectionPool(connection_class=fakeredis.FakeRedisConnection, server=server, **options)
