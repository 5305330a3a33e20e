"""An event loop in the horse, in which tasks are performed side by side: each begins when there is a token for it, and ends by itself."""

import asyncio
import contextvars
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from workers.horse.channel import Reply, Task
from workers.horse.inbox import Inbox
from workers.horse.watchdog import Watchdog

__all__ = ["RunningTask", "TaskLoop"]

MOST_AT_ONCE: Final = 64
"""Tasks that begin before the loop goes on with those that have begun."""

log = logging.getLogger(__name__)


class RunningTask:
    """A task that has begun.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.began = time.monotonic()
        self.is_up = False
        """Whether the job is to end: what `Job.stopping` tells it."""
        self.is_interruptible = False
        """Whether an order may raise ``CancelledError`` in the function of the job: while that runs."""
        self.is_cancelled = False
        """Whether ``CancelledError`` was to be raised in it."""
        self.handle: asyncio.Task[None] | None = None

    def obey(self, order: str) -> None:
        """Obey an order of the worker: ``flag`` or ``cancel``."""
        self.is_up = True
        if order == "cancel":
            self.interrupt()

    def interrupt(self) -> None:
        """Raise ``CancelledError`` in the function of the job."""
        self.is_cancelled = True
        if self.is_interruptible and self.handle is not None:
            self.handle.cancel()


class TaskLoop:
    """Performs tasks side by side, from a first one until none is left.

    Args:
        inbox: the tasks come through it, and the replies go through it, in the order in which the tasks end.
        perform: performs a task and returns the reply to it. It raises nothing.
        most: the number of tasks after which the process is replaced: no more are begun then.
    """

    def __init__(self, inbox: Inbox, perform: Callable[[RunningTask], Awaitable[Reply]], *, most: int) -> None:
        self._inbox, self._perform, self._most = inbox, perform, most
        self.begun = 0
        """How many tasks have begun."""
        self._rings = False
        """Whether the worker is about to be woken."""
        self._running: dict[int, RunningTask] = {}

    def run(self, first: Task) -> Reply:
        """Perform the first task and all that come before the last one has ended. Returns the reply to the last one."""
        return asyncio.run(self._run(first))

    async def _run(self, first: Task) -> Reply:
        self._loop = asyncio.get_running_loop()
        self._last: asyncio.Future[Reply] = self._loop.create_future()
        watchdog = Watchdog(self._tell)
        watchdog.open(self._loop)
        tokens, orders = self._inbox.files()
        self._loop.add_reader(tokens, self._take)
        self._loop.add_reader(orders, self._obey, True)
        try:
            self._begin(first)
            self._inbox.ring()  # the worker may give more
            self._obey(False)  # they may have come together with the task
            return await self._last
        finally:
            self._close()
            watchdog.close()

    @property
    def _is_retiring(self) -> bool:
        return self.begun >= self._most

    def _take(self) -> None:
        before = self.begun
        for _ in range(MOST_AT_ONCE):
            try:
                task = None if self._is_retiring else self._inbox.take_now()
            except EOFError:
                os._exit(0)  # the worker is gone
            if task is None:
                break
            if self._inbox.is_late:
                self._inbox.reply(Reply(is_late=True, number=task.number))
            else:
                self._begin(task)
        if self.begun > before:
            self._inbox.ring()  # the worker may give more
        if self._is_retiring:
            self._loop.remove_reader(self._inbox.files()[0])
        self._obey(False)

    def _obey(self, can_read: bool) -> None:
        try:
            orders = self._inbox.orders(can_read=can_read)
        except EOFError:
            os._exit(0)
        for order in orders:
            running = self._running.get(order.number)
            if running is not None:  # else it has ended
                running.obey(order.order)

    def _begin(self, task: Task) -> None:
        self.begun += 1
        self._running[task.number] = running = RunningTask(task)
        context = contextvars.copy_context()
        running.handle = self._loop.create_task(self._perform_one(running), name=f"job {task.job_id}", context=context)

    async def _perform_one(self, running: RunningTask) -> None:
        try:
            reply = await self._perform(running)
        except BaseException:  # nothing that a job does comes here; without this the worker would wait for ever
            log.exception("the process of job %s ends", running.task.job_id)
            os._exit(1)
        number = running.task.number
        reply = msgspec.structs.replace(reply, number=number, seconds=time.monotonic() - running.began)
        del self._running[number]
        if self._running or (not self._is_retiring and self._inbox.may_begin()):
            self._inbox.reply(reply, rings=False)
            if not self._rings:  # once for all tasks that end at this moment
                self._rings = True
                self._loop.call_soon(self._ring)
        else:
            self._close()  # at once: no task must begin any more
            self._last.set_result(msgspec.structs.replace(reply, retires=reply.retires or self._is_retiring))

    def _ring(self) -> None:
        self._rings = False
        self._inbox.ring()

    def _close(self) -> None:
        for file in self._inbox.files():
            self._loop.remove_reader(file)

    def _tell(self, task: str, seconds: float, place: str) -> None:
        beside = len(self._running) - 1
        log.warning(
            "%s blocks its event loop for %.1f s, at %s: %d jobs beside it wait", task or "a callback", seconds, place, max(0, beside)
        )
