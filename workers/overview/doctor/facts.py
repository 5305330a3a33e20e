"""What several checks read: the answer of ``INFO``, the clock of the server, and the names of the keys of the namespace."""

import time
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any, Final

import redis

from notify.bus import Bus
from notify.keys import Keys
from notify.server import Client

__all__ = ["MOST_KEYS", "Facts"]

MOST_KEYS: Final = 100_000
"""At most so many keys of the namespace are looked at."""
PAGE: Final = 1_000
"""Keys that one ``SCAN`` looks at."""
SCAN_S: Final = 3.0
"""Seconds after which the look at the keys ends."""


class Facts:
    """Reads what several checks need, each thing once, when it is first needed.

    Args:
        bus: the bus; nothing is written through it.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.client: Client = bus.redis
        self.keys: Keys = bus.keys
        self.has_all_keys = True
        """Whether `names` has the names of all keys; false if there are too many."""

    @cached_property
    def info(self) -> Mapping[str, Any]:
        """The answer of ``INFO``; empty if the user may not ask."""
        try:
            answer: Any = self.client.info()
        except redis.ResponseError:
            return {}
        return dict(answer)

    @cached_property
    def clock_s(self) -> float:
        """The clock of the server, as seconds since the epoch."""
        seconds, microseconds = self.client.time()
        return float(seconds) + microseconds / 1e6

    @cached_property
    def names(self) -> list[str]:
        """The names of the keys of the namespace, of very many the first ones."""
        began_at, found = time.monotonic(), []
        scan = self.client.scan_iter(match=f"{self.keys.namespace}:*", count=PAGE)
        while page := list(islice(scan, PAGE)):
            found += [key.decode(errors="backslashreplace") for key in page]
            if len(found) >= MOST_KEYS or time.monotonic() - began_at > SCAN_S:
                self.has_all_keys = False
                break
        return found

    @cached_property
    def living_workers(self) -> frozenset[str]:
        """The names of the workers of Notify whose lease is not over."""
        leases: Any = self.client.zrangebyscore(self.keys.leases, f"({self.clock_s * 1000:.0f}", "+inf")
        return frozenset(name.decode(errors="replace") for name in leases)

    def setting(self, name: str) -> str | None:
        """Return a setting of the server; ``None`` if it has none of that name, or the user may not ask."""
        try:
            answer: Any = self.client.config_get(name)
        except redis.ResponseError:
            return None
        value = answer.get(name)
        return None if value is None else str(value)
