"""Reading streams in one thread, with a blocking command that another thread can interrupt."""

import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import redis

from notify.server.backoff import Backoff
from notify.server.client import Client
from notify.server.raw import make_raw, shut_down

__all__ = ["COUNT", "Entries", "StreamReader"]

WAIT_MS: Final = 1_000
"""How long the server is asked to wait for entries."""
GRACE_S: Final = 2.0
"""How much later than that the answer may come before the connection counts as lost."""
COUNT: Final = 100
"""Entries of a stream that are read at once."""

Entries = list[tuple[str, dict[bytes, bytes]]]
"""Entries of a stream: id and fields."""

log = logging.getLogger(__name__)


class OneConnection(Client):
    """A client for one thread. `exchange` uses one connection, which another thread can shut down."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.connection_pool, settings=client.settings)
        self.connection_in_use = make_raw(self.connection_pool)

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        self.connection_in_use.send_command(*command)
        return self.connection_in_use.read_response() if timeout_s is None else self.connection_in_use.read_response(timeout=timeout_s)

    def close(self) -> None:
        self.connection_in_use.disconnect()
        super().close()


class StreamReader:
    """Reads streams. After a lost connection the next read connects again and begins where the last one ended: no entry is missed.

    Args:
        client: the server to read from.
        name: the name in ``CLIENT LIST``.

    The attribute ``client`` is for other commands of the thread that reads; they go over the same connection.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self.client = OneConnection(client.clone(name=name, timeout_s=WAIT_MS / 1000 + GRACE_S))
        self._stopped = threading.Event()
        self._closing = threading.Event()
        self._is_waiting = False
        self._changing = threading.Lock()
        self._backoff = Backoff(log, name)

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def read(self, positions: Mapping[str, str], *, count: int = COUNT) -> dict[str, Entries]:
        """Wait at most a second for entries, and return them by stream. Nothing is returned during an outage of the server.

        Args:
            positions: stream → id of the entry after which to read.
            count: how many entries of a stream to read at the most.
        """
        with self._changing:
            if self._stopped.is_set():
                return {}
            self._is_waiting = True
        try:
            reply = self.client.exchange("XREAD", "COUNT", count, "BLOCK", WAIT_MS, "STREAMS", *positions, *positions.values())
        except (redis.RedisError, OSError) as exc:
            self.client.connection_in_use.disconnect()  # also after an error reply: the server may be a primary no longer
            if not self._stopped.is_set():
                self.pause(exc)
            return {}
        finally:
            self._is_waiting = False
        self._backoff.over()
        return {stream.decode(): [(entry_id.decode(), _fields(flat)) for entry_id, flat in entries] for stream, entries in reply or ()}

    def trim(self, stream: str, before: str) -> None:
        """Delete the entries of a stream before an id. A failure is ignored: the next call deletes them too."""
        with suppress(redis.RedisError, OSError):
            self.client.exchange("XTRIM", stream, "MINID", before)

    def pause(self, problem: BaseException) -> None:
        """Wait before the next attempt, longer each time, or until `interrupt`. The first failure of an outage is logged."""
        if self._closing.is_set():
            return
        self._closing.wait(self._backoff.failed(f"no connection to {self.client.address} ({problem})"))

    def stop(self) -> None:
        """Read no more. A `read` that waits in another thread returns at once; that thread can still send commands, and retry them."""
        with self._changing:
            self._stopped.set()
            if self._is_waiting:
                shut_down(self.client.connection_in_use)

    def interrupt(self) -> None:
        """Stop, and end all pauses: commands are not retried any more."""
        self._closing.set()
        self.stop()

    def close(self) -> None:
        """Close the connection; called by the thread that reads."""
        self.client.close()


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
