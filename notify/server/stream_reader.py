"""Reads streams in one thread, with a blocking command that another thread can interrupt."""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import redis

from notify.server.backoff import Backoff
from notify.server.client import Client
from notify.server.single import SingleConnection

__all__ = ["COUNT", "Entries", "StreamReader"]

WAIT_MS: Final = 1_000
"""How long one XREAD waits for entries in the server."""
GRACE_S: Final = 2.0
"""Time beyond `WAIT_MS` after which a connection without an answer counts as lost."""
COUNT: Final = 100
"""The most entries of a stream that one read returns."""

Entries = list[tuple[str, dict[bytes, bytes]]]
"""Entries of a stream: id and fields."""

log = logging.getLogger(__name__)


class StreamReader:
    """Reads streams. After a lost connection the next read connects again.

    The caller keeps the positions, so an outage loses no entry. The attribute ``client`` is for other commands of the thread that
    reads; its `exchange` uses the same connection.

    Args:
        client: the server to read from.
        name: the name in ``CLIENT LIST`` and in the log.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self.client = SingleConnection(client.clone(name=name, timeout_s=WAIT_MS / 1000 + GRACE_S))
        self._stopped = threading.Event()
        self._closing = threading.Event()
        self._is_waiting = False
        self._lock = threading.Lock()
        self._backoff = Backoff(log, name)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` or `interrupt` was called."""
        return self._stopped.is_set()

    @property
    def is_closing(self) -> bool:
        """Whether `interrupt` was called."""
        return self._closing.is_set()

    def read(self, positions: Mapping[str, str], *, count: int = COUNT) -> dict[str, Entries]:
        """Wait at most a second for entries, and return them by stream. The result is empty during an outage and after `stop`.

        Args:
            positions: stream → id of the entry after which to read.
            count: the most entries to return of each stream.
        """
        with self._lock:
            if self._stopped.is_set():
                return {}
            self._is_waiting = True
        try:
            reply = self.client.exchange("XREAD", "COUNT", count, "BLOCK", WAIT_MS, "STREAMS", *positions, *positions.values())
        except (redis.RedisError, OSError) as exc:
            self.client.drop()  # also after an error reply: the server may have become a replica
            if not self._stopped.is_set():
                self.pause(exc)
            return {}
        finally:
            self._is_waiting = False
        self._backoff.over()
        return {stream.decode(): [(entry_id.decode(), _fields(flat)) for entry_id, flat in entries] for stream, entries in reply or ()}

    def is_behind(self, stream: str, position: str) -> bool:
        """Return whether the last entry of a stream is before a position, so that `read` passes over all that is in it."""
        try:
            newest = self.client.exchange("XREVRANGE", stream, "+", "-", "COUNT", 1)
        except (redis.RedisError, OSError):
            return False
        return bool(newest) and _number(newest[0][0].decode()) < _number(position)

    def trim(self, stream: str, before: str) -> None:
        """Delete the entries of a stream before an id. A failure is ignored: a later call deletes them as well."""
        with suppress(redis.RedisError, OSError):  # as above
            self.client.exchange("XTRIM", stream, "MINID", before)

    def pause(self, problem: BaseException) -> None:
        """Wait before the next attempt, longer during a long outage, or until `interrupt`. Logs the first failure of an outage."""
        if self._closing.is_set():
            return
        self._closing.wait(self._backoff.failed(f"no connection to {self.client.address} ({problem})", cause=problem))

    def wait(self, timeout_s: float) -> None:
        """Wait so many seconds, or until `stop`."""
        self._stopped.wait(timeout_s)

    def stop(self) -> None:
        """End reading: a `read` that waits in another thread returns at once. That thread can still send commands, and `pause`."""
        with self._lock:
            self._stopped.set()
            if self._is_waiting:
                self.client.interrupt()

    def interrupt(self) -> None:
        """Call `stop`, and end all pauses: the reading thread is to retry no more commands."""
        self._closing.set()
        self.stop()

    def close(self) -> None:
        """Close the connection; called by the thread that reads."""
        self.client.close()


def _number(entry_id: str) -> tuple[int, int]:
    ms, _, counter = entry_id.partition("-")
    return int(ms), int(counter)


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
