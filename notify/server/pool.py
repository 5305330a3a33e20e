"""A pool of connections for several threads that keeps a single one: others are closed as soon as they are given back."""

import threading
from functools import cache
from typing import Any, Final

import redis
from redis import __version__ as redis_version
from redis.driver_info import DriverInfo

from notify.server.raw import release_keeping_one

__all__ = ["DRIVER", "is_thrifty", "thrifty"]

DRIVER: Final = DriverInfo(lib_version=redis_version)
"""How a connection introduces itself. redis-py would read the metadata of its package for each connection: 1 MiB in a fork."""

PATIENCE_S: Final = 0.05
"""Seconds that a thread waits for the connection that another one uses, before it opens one more. Most commands take less time; one
that takes longer, perhaps because the server hangs, delays nobody else."""


class Thrifty:
    """Marks the pools that `thrifty` makes."""


@cache
def thrifty(pool_class: type[redis.ConnectionPool]) -> type[redis.ConnectionPool]:
    """Return a class of pools that keep one idle connection at most.

    Threads that send few commands share that connection: each waits a moment for its turn.

    Args:
        pool_class: the class of pools to derive it from.
    """

    class ThriftyPool(pool_class, Thrifty):  # type: ignore[misc,valid-type]  # the base class is an argument
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._turn = threading.Condition()
            self._users: dict[int, int] = {}  # id of a connection in use → the thread that took it
            super().__init__(*args, **kwargs)

        def get_connection(self, *args: Any, **kwargs: Any) -> Any:
            me = threading.get_ident()
            with self._turn:
                if me not in self._users.values():  # else it would wait for itself
                    self._turn.wait_for(lambda: not self._users, timeout=PATIENCE_S)
                reserved = object()
                self._users[id(reserved)] = me
            connection = None
            try:
                connection = super().get_connection(*args, **kwargs)
            finally:
                with self._turn:
                    del self._users[id(reserved)]
                    if connection is not None:
                        self._users[id(connection)] = me
                    self._turn.notify_all()
            return connection

        def release(self, connection: Any) -> None:
            release_keeping_one(self, connection, super().release)
            with self._turn:
                self._users.pop(id(connection), None)
                self._turn.notify_all()

    return ThriftyPool


def is_thrifty(pool: redis.ConnectionPool) -> bool:
    """Return whether a pool keeps one idle connection at most."""
    return isinstance(pool, Thrifty)
