"""Blocks an idle worker until one of its queues is not empty (BLMOVE of the list onto itself, so nothing is popped)."""

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
"""Seconds for which a command blocks in the server. Its answer after that shows that the connection still works."""
GRACE_S: Final = 10.0
"""Seconds by which that answer may be late before the connection is taken for dead."""


class JobWaiter:
    """Waits on one connection for each queue, with a command that blocks in the server while the list is empty.

    The command moves the first entry of the list onto its own place (``BLMOVE queue queue LEFT LEFT``). Nothing is popped, so
    no job is lost if the worker dies. Any number of workers can wait for one queue: a job wakes all of them, and the first
    one to claim the job gets it.

    Args:
        client: the client whose settings the waiter's own connections take.
        name: the name of these connections in ``CLIENT LIST``.
    """

    def __init__(self, client: Client, *, name: str) -> None:
        self._client = client.clone(name=name, timeout_s=BLOCK_S + GRACE_S)
        self._connections: dict[str, RawConnection] = {}
        self._waits_since: dict[str, float] = {}
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)

    def wait(self, queues: Sequence[str], *, timeout_s: float) -> bool:
        """Wait until there is a job in one of the queues, or `wake` is called.

        Args:
            queues: the keys of the queues.
            timeout_s: seconds to wait at most.

        Returns:
            True if a queue had a job, which another worker may have claimed by now, or if `wake` was called.

        Raises:
            ServerError: a connection cannot be opened, or was lost; the next call opens another.
        """
        try:
            with self._client.translating("waiting for a job"):
                return self._wait(queues, timeout_s)
        except BaseException:
            self._hang_up()
            raise

    def wake(self) -> None:
        """End the present wait, or the next one. Safe in a signal handler and from any thread."""
        with suppress(BlockingIOError, OSError):
            os.write(self._write_end, b"!")

    def close(self) -> None:
        """Close the connections. The waiter cannot be used again."""
        self._hang_up()
        self._client.close()
        ends = self._read_end, self._write_end
        self._read_end = self._write_end = -1  # first: a late `wake` must not write into the next file with the same number
        for end in ends:
            os.close(end)

    def _wait(self, queues: Sequence[str], timeout_s: float) -> bool:
        for queue in queues:
            self._read_answer(queue)  # to an earlier wait, and ignored: the claim since then has seen that job
            self._send_wait(queue)
        files = {file_number(self._connections[queue]): queue for queue in queues}
        poll = select.poll()
        for file in (self._read_end, *files):
            poll.register(file, select.POLLIN)
        ready = {file for file, _ in poll.poll(math.ceil(timeout_s * 1000))}
        if self._read_end in ready:
            with suppress(BlockingIOError):
                os.read(self._read_end, 1024)
            return True
        return any([self._read_answer(files[file]) for file in ready])  # noqa: C419  # each of them has to be read

    def _send_wait(self, queue: str) -> None:
        """Send the blocking command for a queue, unless the last one is not answered yet."""
        if queue in self._waits_since:
            if time.monotonic() - self._waits_since[queue] > BLOCK_S + GRACE_S:
                raise TimeoutError(f"the server has not answered BLMOVE {queue} for {BLOCK_S + GRACE_S:g} s")
            return
        if queue not in self._connections:
            self._connections[queue] = take_raw(self._client.connection_pool)
        self._connections[queue].send_command("BLMOVE", queue, queue, "LEFT", "LEFT", BLOCK_S)
        self._waits_since[queue] = time.monotonic()

    def _read_answer(self, queue: str) -> bool:
        """Read the answer to the blocking command, if it is there. Returns whether it says that the queue is not empty."""
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
