"""The horse's end of the connection to its worker: the next task that it may begin, and the reply to it."""

import select
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from notify.process import steady_s
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
        self._arrived: deque[Task] = deque()
        """Tasks that have arrived before their tokens."""
        self._orders: list[Task] = []
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
            if self._channel.fileno() in ready:
                self.orders(can_read=True)  # so that a worker with much to send is not kept waiting; what they are about is over
        return self._begin(token)

    def take_now(self) -> Task | None:
        """Return the next task if it may begin now. Errors as for `take`."""
        token = self._tokens.take()
        return None if token is None else self._begin(token)

    def next(self) -> Task | None:
        """Return what `take_now` would return, unless the worker takes that back before. It does not begin. Errors as for `take`."""
        if (token := self._tokens.look()) is None:
            return None
        while True:
            for task in self._arrived:
                if Tokens.is_of(token, task.number):
                    return task
            if (message := self._channel.take(Task)) is not None:
                self._keep(message)

    def orders(self, *, can_read: bool) -> list[Task]:
        """Return the orders that have arrived since the last call. Errors as for `take`.

        Args:
            can_read: whether the channel was readable. What had arrived may have been read since, with a task: an event loop learns
                of token and channel in one look. To wait for more would stop all that runs side by side.
        """
        if can_read:
            self._channel.fill(waits=False)
        for message in self._channel.arrived(Task):
            self._keep(message)
        found, self._orders = self._orders, []
        return found

    def _keep(self, message: Task) -> None:
        (self._orders if message.order else self._arrived).append(message)

    def ring(self) -> None:
        """Wake the worker."""
        self._bell.ring()

    def files(self) -> tuple[int, int]:
        """Return the numbers of the files that are readable when there is a token, and when there are orders or tasks."""
        return self._tokens.fileno(), self._channel.fileno()

    def _begin(self, token: int) -> Task:
        while not self._arrived or not Tokens.is_of(token, self._arrived[0].number):
            if self._arrived:
                self._arrived.popleft()  # it was taken back
            elif (message := self._channel.take(Task)) is not None:
                self._keep(message)
        task = self._arrived.popleft()
        self._task, self._began = task, steady_s()
        if task.number and self._began <= task.begin_by:  # a callback that is owed has none, and begins no run
            self._board.begun = task.number
        return task

    @property
    def is_late(self) -> bool:
        """Whether the task that was taken last must not begin any more."""
        return self._task is not None and self._began > self._task.begin_by

    def reply(self, reply: Reply, *, rings: bool = True) -> None:
        """Reply to a task: to the one that was taken last, unless the reply says to which.

        Args:
            reply: the reply.
            rings: whether to wake the worker as the task says; else the caller does.

        Raises:
            OSError: the worker is gone.
        """
        task = self._task
        if task is not None and not reply.number:
            reply = msgspec.structs.replace(reply, seconds=steady_s() - self._began, number=task.number)
        if self._unheard > UNHEARD_BYTES:
            self._bell.ring()
            self._unheard = 0
        self._unheard += self._channel.send(reply, on_its_way=self._bell.ring)
        if rings and (task is None or task.rings or not reply.is_plain or self._board.rings_always):
            self._bell.ring()
            self._unheard = 0
