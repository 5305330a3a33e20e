"""A connection on which one thread waits for streams to grow, and that another thread can interrupt."""

import logging
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import redis

from notify.server.backoff import Backoff
from notify.server.client import Client

__all__ = ["COUNT", "Entries", "StreamReader"]

WAIT_MS: Final = 1_000
"""How long the server is asked to wait for entries."""
GRACE_S: Final = 2.0
"""How much later than that an answer may come, before the connection counts as dead."""
COUNT: Final = 100
"""Entries of a stream that are read at once."""

Entries = list[tuple[str, dict[bytes, bytes]]]

log = logging.getLogger(__name__)


class OneConnection(Client):
    """A client for one thread: what is exchanged goes over one connection, which another thread can shut down."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.connection_pool, settings=client.settings)
        self.only: Any = self.connection_pool.make_connection()

    def exchange(self, *command: str | bytes | int, timeout_s: float | None = None) -> Any:
        self.only.send_command(*command)
        return self.only.read_response() if timeout_s is None else self.only.read_response(timeout=timeout_s)

    def close(self) -> None:
        self.only.disconnect()
        super().close()


class StreamReader:
    """Reads streams. A broken connection is mended at the next read, which begins where the last one ended: nothing is missed.

    Args:
        client: whose server to read from.
        name: what ``CLIENT LIST`` shows.

    ``client`` is for what else the same thread has to say, on the same connection.
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
        """Wait at most a second for entries after the positions, stream → id. Returns those that came, by stream.

        An outage of the server is ridden out: then nothing came.
        """
        with self._changing:
            if self._stopped.is_set():
                return {}
            self._is_waiting = True
        try:
            reply = self.client.exchange("XREAD", "COUNT", count, "BLOCK", WAIT_MS, "STREAMS", *positions, *positions.values())
        except (redis.RedisError, OSError) as exc:
            self.client.only.disconnect()  # also after an error that was answered: who answers may be a primary no longer
            if not self._stopped.is_set():
                self.pause(exc)
            return {}
        finally:
            self._is_waiting = False
        self._backoff.over()
        return {stream.decode(): [(entry_id.decode(), _fields(flat)) for entry_id, flat in entries] for stream, entries in reply or ()}

    def trim(self, stream: str, before: str) -> None:
        """Forget the entries of a stream before an id."""
        with suppress(redis.RedisError, OSError):  # the next time will do
            self.client.exchange("XTRIM", stream, "MINID", before)

    def pause(self, problem: BaseException) -> None:
        """Wait before the next try, longer each time, unless we are to end; the first time the loss is logged."""
        if self._closing.is_set():
            return
        self._closing.wait(self._backoff.failed(f"no connection to {self.client.address} ({problem})"))

    def stop(self) -> None:
        """Read no more: the thread that waits goes on at once, and can say what it has to say, and try that again."""
        with self._changing:
            self._stopped.set()
            sock = getattr(self.client.only, "_sock", None)
            if self._is_waiting and isinstance(sock, socket.socket):  # a fake one is waited for
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def interrupt(self) -> None:
        """Stop, and try nothing again: there is no time to wait for the server."""
        self._closing.set()
        self.stop()

    def close(self) -> None:
        """Close the connection; called by the thread that reads."""
        self.client.close()


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
