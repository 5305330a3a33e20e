"""A position that is stored in Redis: how far the events of a subscription were taken at the ends of a flow."""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from notify.errors import InvalidPositionError, NotifyError
from notify.server import Backoff, Client

__all__ = ["StoredPosition"]

LIFETIME_S: Final = 30 * 86_400.0
"""Lifetime of a stored position after it was written last; as long as the logs live if that is longer."""
REFRESH_S: Final = 3_600.0
"""A position that does not change is written again after this time, so that it lives as long as somebody uses it."""
CLOSE_S: Final = 5.0
"""How long `close` attempts to store the last position."""

log = logging.getLogger(__name__)


class Stored(msgspec.Struct, frozen=True):
    """The JSON form of a position."""

    topics: dict[str, str]
    at: datetime


class StoredPosition:
    """Reads one position at the start, and stores new ones in a thread, the newest one first: older ones need not be stored.

    Args:
        client: the server.
        name: the name of the position.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._key = client.own_keys.position(name)
        self._name = name
        self._newest: Mapping[str, str] | None = None
        self._stored: Mapping[str, str] | None = None
        self._stored_at = 0.0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify-position-{name}", daemon=True)

    def read(self) -> dict[str, str] | None:
        """Return the stored position, topic → id; ``None`` if there is none.

        Raises:
            InvalidPositionError: the key does not hold a position.
            ServerError: the server did not answer, or refused.
        """
        with self._client.translating(f"reading the position {self._name!r}"):
            value: Any = self._client.get(self._key)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=Stored).topics
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise InvalidPositionError(f"the key {self._key} holds no position: {exc}; delete it, or give another name") from exc

    def write(self, position: Mapping[str, str]) -> None:
        """Store a position now. Raises `ServerError` if that failed."""
        body = msgspec.json.encode(Stored(dict(position), datetime.now(UTC)))
        lifetime_ms = round(1000 * max(LIFETIME_S, self._client.settings.retention_s))
        with self._client.translating(f"storing the position {self._name!r}"):
            self._client.set(self._key, body, px=lifetime_ms)
        self._stored, self._stored_at = position, time.monotonic()

    def open(self, position: Mapping[str, str]) -> None:
        """Store the first position, and start the thread. Raises `ServerError` if the position cannot be stored."""
        self.write(position)
        self._thread.start()

    def commit(self, position: Mapping[str, str]) -> None:
        """Have a position stored soon."""
        with self._changed:
            self._newest = position
            self._changed.notify_all()

    def close(self) -> None:
        """Store the last position, and end the thread."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if self._newest is not None and self._newest is not self._stored:
            log.warning("the position %r could not be stored: events that were taken will come again", self._name)

    def _run(self) -> None:
        backoff = Backoff(log, f"the position {self._name!r}")
        while (position := self._next()) is not None:
            try:
                self.write(position)
            except NotifyError as exc:
                if self._closing.wait(backoff.failed(exc)):
                    return
            else:
                backoff.over()

    def _next(self) -> Mapping[str, str] | None:
        """Wait for a position that is to be stored, and return it; ``None`` at the end."""
        with self._changed:
            while True:
                if self._newest is not None and self._newest is not self._stored:
                    return self._newest
                if self._closing.is_set():
                    return None
                self._changed.wait(REFRESH_S)
                if time.monotonic() - self._stored_at >= REFRESH_S and not self._closing.is_set():
                    return self._newest or self._stored
