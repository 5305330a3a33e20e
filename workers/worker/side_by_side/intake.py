"""Tells a worker whose runs go on side by side that there may be another job, while it waits for their ends."""

import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from notify.errors import ServerError
from notify.server import Client, SingleConnection
from workers import rq_keys
from workers.horse import Horse

__all__ = ["Intake"]

BLOCK_S: Final = 1.0
"""Seconds for which one command blocks in the server; then the queues are looked at, also without a token."""


class Intake:
    """Waits for a token as an idle worker does, see `JobWaiter`, but by a command that stays open while the worker does other things.

    Args:
        client: the intake opens a connection of its own to the same server.
        name: the name of the worker.
        horse: wakes the worker when there is an answer.
    """

    def __init__(self, client: Client, name: str, *, horse: Horse) -> None:
        self._client, self._name, self._horse = client, name, horse
        self._connection: SingleConnection | None = None
        self._file = -1

    def ask(self, queues: Sequence[str]) -> None:
        """Begin to wait for a job in these queues, unless this waits already.

        Raises:
            ServerError: the server did not answer.
        """
        if self._file >= 0:
            return
        if self._connection is None:
            self._connection = SingleConnection(self._client.clone(name=self._name))
        connection = self._connection
        lists = [connection.own_keys.wake(rq_keys.queue_name(queue)) for queue in queues]
        with connection.translating("waiting for a job"):
            connection.send("BLPOP", *lists, f"{BLOCK_S:.3f}")
        self._file = connection.fileno()
        self._horse.watch(self._file)

    def take(self) -> bool:
        """Return whether there may be a job by now."""
        if self._file < 0 or not _is_readable(self._file):
            return False
        self._unwatch()
        assert self._connection is not None  # noqa: S101  # it has the file
        with suppress(ServerError), self._connection.translating("waiting for a job"):  # lost: the claim that follows says so
            self._connection.receive(timeout_s=0.1)
        return True

    def close(self) -> None:
        """End the wait, and close the connection."""
        if self._file >= 0:
            self._unwatch()
        if self._connection is not None:
            self._connection.drop()
            self._connection.hang_up()
        self._connection = None

    def _unwatch(self) -> None:
        self._horse.unwatch(self._file)
        self._file = -1


def _is_readable(file: int) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))
