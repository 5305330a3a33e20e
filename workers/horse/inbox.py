"""The horse's end of the connection to its worker: the next task that it may begin, and the reply to it."""

import select
import time
from collections.abc import Callable
from typing import Final

import msgspec

from workers.horse.bell import Bell
from workers.horse.board import Board
from workers.horse.channel import Channel, Reply, Task
from workers.horse.tokens import Tokens

__all__ = ["UNHEARD_BYTES", "Inbox"]

UNHEARD_BYTES: Final = 65_536
"""Bytes of replies after which the horse rings before it sends more: the socket holds them, and the worker makes room for the next."""


class Inbox:
    """Takes tasks in their order, each when there is a token for it.

    Args:
        channel: the horse's end.
        tokens, bell, board: those of the worker.
    """

    def __init__(self, channel: Channel, tokens: Tokens, bell: Bell, board: Board) -> None:
        self._channel, self._tokens, self._bell, self._board = channel, tokens, bell, board
        self._poll = select.poll()
        self._poll.register(tokens, select.POLLIN)
        self._poll.register(channel, select.POLLIN)
        self._next: Task | None = None
        """A task that has arrived before its token."""
        self._task: Task | None = None
        self._unheard = 0
        self._began = 0.0

    def take(self, rest_s: float, rest: Callable[[], object]) -> Task:
        """Wait for the next task that may begin. From the return on it has begun.

        Args:
            rest_s: seconds after which ``rest`` is called, if no task came.
            rest: called once in a wait.

        Raises:
            EOFError: the worker is gone.
        """
        wait_ms: float | None = rest_s * 1000
        while (token := self._tokens.take()) is None:
            ready = {fd for fd, _ in self._poll.poll(wait_ms)}
            if not ready:
                rest()
                wait_ms = None
            if self._channel.fileno() in ready and self._next is None:
                self._next = self._channel.take(Task)  # so that a worker with much to send is not kept waiting
            elif self._channel.fileno() in ready:
                self._channel.fill()
        while self._next is None or not Tokens.is_of(token, self._next.number):
            self._next = self._channel.take(Task)  # what comes before it was taken back
        task, self._next = self._next, None
        self._task, self._began = task, time.monotonic()
        if self._began <= task.begin_by:
            self._board.begun = task.number
        return task

    @property
    def is_late(self) -> bool:
        """Whether the task that was taken last must not begin any more."""
        return self._task is not None and self._began > self._task.begin_by

    def reply(self, reply: Reply) -> None:
        """Reply to the task that was taken last.

        Raises:
            OSError: the worker is gone.
        """
        task = self._task
        reply = msgspec.structs.replace(reply, seconds=time.monotonic() - self._began)
        if self._unheard > UNHEARD_BYTES:
            self._bell.ring()
            self._unheard = 0
        self._unheard += self._channel.send(reply, on_its_way=self._bell.ring)
        if task is None or task.rings or not reply.is_plain or self._board.rings_always:
            self._bell.ring()
            self._unheard = 0
