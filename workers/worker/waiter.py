"""What an idle worker waits at: it rings when a job is pushed onto one of its queues, by whomever."""

import math
import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from notify.server import Client, RawConnection, file_number, release_raw, take_raw

__all__ = ["JobWaiter"]

BLOCK_S: Final = 20
"""After so long the server answers that nothing came; so a connection on which nothing comes is found out."""
GRACE_S: Final = 10.0


class JobWaiter:
    """One connection for each queue, blocked in the server until there is something in the list.

    The blocking command moves the first entry of the list to where it is (``BLMOVE queue queue LEFT LEFT``): it takes
    nothing, so nothing is lost with a worker that dies. Any number of workers can wait at one queue: all of them hear a job,
    and the first to ask gets it.

    Args:
        client: opens connections of its own like this one.
        name: what they are called in ``CLIENT LIST``.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self._client = client.clone(name=name, timeout_s=BLOCK_S + GRACE_S)
        self._connections: dict[str, RawConnection] = {}
        self._waits_since: dict[str, float] = {}
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)

    def wait(self, queues: Sequence[str], *, timeout_s: float) -> bool:
        """Wait until there is a job in one of the queues, or `ring` is called.

        Args:
            queues: their keys.
            timeout_s: for how long.

        Returns:
            Whether it rang; maybe for a job that another worker has got meanwhile.

        Raises:
            ServerError: a connection cannot be had, or was lost; the next call opens another.
        """
        try:
            with self._client.translating("waiting for a job"):
                return self._wait(queues, timeout_s)
        except BaseException:
            self._hang_up()
            raise

    def wake(self) -> None:
        """End the present wait, or the next one; for a signal handler or another thread."""
        with suppress(BlockingIOError, OSError):
            os.write(self._write_end, b"!")

    def close(self) -> None:
        self._hang_up()
        self._client.close()
        ends = self._read_end, self._write_end
        self._read_end = self._write_end = -1  # first: a late `ring` must not write into what gets the number next
        for end in ends:
            os.close(end)

    def _wait(self, queues: Sequence[str], timeout_s: float) -> bool:
        for queue in queues:
            self._answered(queue)  # to a wait of before; what it told is known by now
            self._ask(queue)
        files = {file_number(self._connections[queue]): queue for queue in queues}
        poll = select.poll()
        for file in (self._read_end, *files):
            poll.register(file, select.POLLIN)
        ready = {file for file, _ in poll.poll(math.ceil(timeout_s * 1000))}
        if self._read_end in ready:
            with suppress(BlockingIOError):
                os.read(self._read_end, 1024)
            return True
        return any([self._answered(files[file]) for file in ready])  # noqa: C419  # each of them has to be read

    def _ask(self, queue: str) -> None:
        if queue in self._waits_since:
            if time.monotonic() - self._waits_since[queue] > BLOCK_S + GRACE_S:
                raise TimeoutError(f"no answer about {queue} for {BLOCK_S + GRACE_S:g} s")
            return
        if queue not in self._connections:
            self._connections[queue] = take_raw(self._client.connection_pool)
        self._connections[queue].send_command("BLMOVE", queue, queue, "LEFT", "LEFT", BLOCK_S)
        self._waits_since[queue] = time.monotonic()

    def _answered(self, queue: str) -> bool:
        """Whether there is something in a queue, as far as the server has said so."""
        if queue not in self._waits_since or not self._connections[queue].can_read(0):
            return False
        answer = self._connections[queue].read_response()
        del self._waits_since[queue]
        return answer is not None

    def _hang_up(self) -> None:
        for connection in self._connections.values():
            connection.disconnect()
            release_raw(self._client.connection_pool, connection)
        self._connections.clear()
        self._waits_since.clear()
