"""Receives RQ's commands for a worker and, in the leader, what the server tells about queues onto which others push jobs."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis

from notify.errors import NotifyError
from notify.server import ANSWER_S, Backoff, Client, RawConnection, make_raw, read_push, shut_down
from workers.rq import PUBSUB_CHANNEL_TEMPLATE
from workers.worker.pushes import PushWatch

__all__ = ["CommandListener"]

PROBE_S: Final = 1.0
"""Seconds of silence after which the server is pinged; without an answer the connection is lost `ANSWER_S` later."""

log = logging.getLogger(__name__)


class CommandListener:
    """Reads one connection in a thread, from `open` to `close`. RQ's own thread would notice a server that hangs after minutes.

    The connection speaks RESP 3: the server pushes messages on it, and goes on answering commands.

    Args:
        client: the connection takes its settings.
        worker: the name of the worker.
        obey: called in the thread with each command, as bytes. It raises nothing but errors of Redis.
        pushes: watches the queues while this worker leads.
    """

    def __init__(self, client: Client, worker: str, *, obey: Callable[[bytes], object], pushes: PushWatch) -> None:
        self._client = client.clone(name=worker, protocol=3)
        self._channel = PUBSUB_CHANNEL_TEMPLATE % worker
        self._worker, self._obey, self._pushes = worker, obey, pushes
        self._connection: RawConnection | None = None
        self._backoff = Backoff(log, f"the command listener of worker {worker}")
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Subscribe, and start the thread.

        Raises:
            ServerError: the server did not answer, or refused.
        """
        with self._client.translating("subscribing to commands"):
            self._connect()
        self._closing.clear()  # the worker may have worked before
        self._thread = threading.Thread(target=self._run, name="notify-commands", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close the connection."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            shut_down(connection)
        if self._thread is not None:
            self._thread.join()
        self._disconnect()
        self._client.hang_up()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                connection = self._connection or self._connect()
                self._backoff.over()
                self._listen(connection)
            except (redis.RedisError, NotifyError, OSError) as exc:
                self._disconnect()
                if not self._closing.is_set():
                    self._closing.wait(self._backoff.failed(exc))
            except Exception:  # one odd message must not end the thread
                self._disconnect()
                log.exception("worker %s could not obey a command; it goes on", self._worker)
                self._closing.wait(PROBE_S)

    def _listen(self, connection: RawConnection) -> None:
        """Read one message, or take the next step of the watch, or ping a server that is silent."""
        pause_s = self._pushes.step(lambda *command: self._ask(connection, *command))
        message = read_push(connection, min(PROBE_S, pause_s))
        if isinstance(message, list):
            self._take(message)
        elif pause_s >= PROBE_S:
            self._ask(connection, "PING")

    def _ask(self, connection: RawConnection, *command: str | bytes | int) -> Any:
        """Send a command and return its answer. Messages that arrive before it are taken."""
        connection.send_command(*command, check_health=False)
        until = time.monotonic() + ANSWER_S
        while (left_s := until - time.monotonic()) > 0:
            answer = read_push(connection, left_s)
            if not isinstance(answer, list):
                if answer is None:
                    break
                return answer
            self._take(answer)
        raise redis.TimeoutError(f"no answer to {command[0]!s} for {ANSWER_S:g} s")

    def _take(self, message: list[Any]) -> None:
        """Obey a command, or note which keys have changed."""
        kind = message[0]
        if kind == b"message":
            self._obey(message[2])
        elif kind == b"invalidate":
            self._pushes.changed(message[1])

    def _connect(self) -> RawConnection:
        connection = make_raw(self._client.connection_pool)
        self._pushes.forget()
        try:
            connection.connect()
            connection.send_command("SUBSCRIBE", self._channel, check_health=False)
            message = read_push(connection, ANSWER_S)
            if message is None:
                raise redis.TimeoutError("the server did not confirm the subscription")
        except BaseException:
            connection.disconnect()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
