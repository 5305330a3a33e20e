"""Reads descriptions of services from Redis: by name, or from an index of the directory.

Each round trip asks for the server's time as well, after the descriptions: a service is overdue by the server's clock, whether or not
a sweep has noticed it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import redis

from notify.directory.info import ServiceInfo, read_description, to_ms
from notify.directory.upkeep import Upkeep
from notify.keys import Keys
from notify.server import Client
from notify.values import is_text

__all__ = ["DirectoryReader", "registered_services"]

PAGE: Final = 1_000
"""At most this many services are read from an index in one round trip."""


class DirectoryReader:
    """Reads descriptions, also those of overdue services. Whenever it reads one of these, it sweeps once.

    Args:
        client: the server, the settings and the namespace to use.
        upkeep: the sweeps of this process.
    """

    def __init__(self, client: Client, upkeep: Upkeep) -> None:
        self._client = client
        self._keys = Keys(client.settings.namespace)
        self._upkeep = upkeep

    def read(self, names: Iterable[str], *, are_listed: bool = False) -> list[ServiceInfo]:
        """Return the services with these names that are registered.

        Args:
            names: the names.
            are_listed: whether an index has these names: one without a description is then of a service that nobody withdrew.
        """
        keys = [self._keys.service(name) for name in names]
        rows, now_ms = _rows(self._client, keys)
        found = []
        for key, row in zip(keys, rows, strict=True):
            if isinstance(row, redis.ResponseError):  # not a hash: one key that was written by hand must not hide the others
                self._upkeep.warn_unreadable(key)
            elif isinstance(row, Exception):
                raise row
            elif (service := read_description(row, now_ms=now_ms)) is not None:
                found.append(service)
        if any(service.is_overdue for service in found) or (are_listed and {} in rows):
            self._upkeep.sweep_once()
        return found

    def search(
        self,
        predicate: Callable[[ServiceInfo], bool] | None = None,
        *,
        provides: str | None = None,
        group: str | None = None,
        first_page: int = PAGE,
        names: Collection[str] = (),
    ) -> Iterator[ServiceInfo]:
        """Yield the services that fit, in the order of registration.

        An index is read in pages. The first page has ``first_page`` names, later pages have more.

        Args:
            predicate: called with the description of a service; returns whether the service fits.
            provides, group: a capability that the service must have, and a group that it must be in.
            first_page: how many names to read from an index at first.
            names: if given, only the services with these names fit.
        """
        if not all(part is None or is_text(part) for part in (provides, group)):
            return
        if names:
            pages = iter([list(filter(is_text, names))])
        elif provides is not None:
            pages = self._pages(self._keys.provides(provides), first_page)
        elif group is not None:
            pages = self._pages(self._keys.group(group), first_page)
        else:
            pages = iter([_names(self._client)])
        for page in pages:
            # An index may still name a service that disappeared without being withdrawn. A successor with the same name may not
            # have the capability or group, so the description decides.
            fitting = [
                service
                for service in self.read(page, are_listed=not names)
                if (provides is None or provides in service.provides) and (group is None or group in service.groups)
            ]
            for service in sorted(fitting, key=lambda s: s.incarnation):
                if predicate is None or predicate(service):
                    yield service

    def _pages(self, index: str, page_size: int) -> Iterator[list[str]]:
        """Yield the names in an index, in the order of registration. Each page is up to ten times as long as the one before.

        A page begins after the last incarnation of the page before, so that changes between two pages neither skip nor repeat a name.
        """
        after = "-inf"
        while True:
            with self._client.translating("searching the directory"):
                rows: Any = self._client.zrangebyscore(index, after, "+inf", start=0, num=page_size, withscores=True)
            yield [name.decode(errors="replace") for name, _ in rows]
            if len(rows) < page_size:
                return
            after, page_size = f"({rows[-1][1]:.0f}", min(PAGE, page_size * 10)


def registered_services(connection: redis.Redis) -> list[ServiceInfo]:
    """Return all services, also overdue ones, in the order of their names. For who only looks: overdue ones are not swept by it.

    Args:
        connection: the server and the namespace.

    Raises:
        ServerError: Redis did not answer, or refused.
    """
    client = Client.of(connection)
    rows, now_ms = _rows(client, [client.own_keys.service(name) for name in sorted(_names(client))])
    found = (read_description(row, now_ms=now_ms) for row in rows if isinstance(row, dict))
    return [service for service in found if service is not None]


def _names(client: Client) -> list[str]:
    with client.translating("searching the directory"):
        names: Any = client.smembers(client.own_keys.services)
    return [name.decode(errors="replace") for name in names]  # only names added by hand are not UTF-8: they have no description


def _rows(client: Client, keys: Iterable[str]) -> tuple[list[Any], int]:
    """Return what stands under keys, or why that cannot be read, and the server's time after that in milliseconds."""
    with client.translating("reading the directory"), client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hgetall(key)
        pipe.time()
        *rows, time = pipe.execute(raise_on_error=False)
        if isinstance(time, Exception):
            raise time
    return rows, to_ms(time)
