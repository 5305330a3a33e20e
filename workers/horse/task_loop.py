"""An event loop in the horse, in which tasks are performed side by side: each begins when there is a token for it, and ends by itself."""

import asyncio
import contextvars
import logging
import os
import time
from collections import Counter, deque
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

    Of each function as many calls go on as its tasks say, at most. So the worker may give more: the next task begins when one ends.

    Args:
        inbox: the tasks come through it, and the replies go through it, in the order in which the tasks end.
        perform: performs a task and returns the reply to it. It raises nothing.
        most: the number of tasks after which the process is replaced: no more are begun then.
    """

    def __init__(self, inbox: Inbox, perform: Callable[[RunningTask], Awaitable[Reply]], *, most: int) -> None:
        self._inbox, self._perform, self._most = inbox, perform, most
        self.begun = 0
        """How many tasks have begun."""
        self._rings = self._is_watching = False
        """Whether the worker is about to be woken, and whether the loop looks for tokens: not while the next task has no room."""
        self._running: dict[int, RunningTask] = {}
        self._calls: Counter[str] = Counter()
        """How many calls of each function go on."""
        self._early: deque[RunningTask] = deque()
        """Tasks that took the token of another one, which had room and was taken back in that moment: they wait for room."""

    def run(self, first: Task) -> Reply:
        """Perform the first task and all that come before the last one has ended. Returns the reply to the last one."""
        return asyncio.run(self._run(first))

    async def _run(self, first: Task) -> Reply:
        self._loop = asyncio.get_running_loop()
        self._last: asyncio.Future[Reply] = self._loop.create_future()
        self._context = contextvars.copy_context()
        watchdog = Watchdog(self._tell)
        watchdog.open(self._loop)
        self._watch(True)
        self._loop.add_reader(self._inbox.files()[1], self._obey, True)
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
        """Begin what may begin and has room."""
        before = self.begun
        for _ in range(MOST_AT_ONCE):
            try:
                following = None if self._is_retiring else self._inbox.next()
                if following is None or self._is_full(following):
                    self._watch(following is None and not self._is_retiring)
                    break
                task = self._inbox.take_now()
            except EOFError:
                os._exit(0)  # the worker is gone
            if task is None:
                continue  # it was taken back
            if self._inbox.is_late:
                self._inbox.reply(Reply(is_late=True, number=task.number))
            else:
                self._begin(task)
        else:
            self._watch(True)
        if self.begun > before:
            self._ring_soon()  # the worker may give more
        self._obey(False)

    def _watch(self, value: bool) -> None:
        """Take tasks as soon as there are tokens, or only at the end of another one."""
        if value != self._is_watching:
            self._is_watching = value
            tokens, _ = self._inbox.files()
            if value:
                self._loop.add_reader(tokens, self._take)
            else:
                self._loop.remove_reader(tokens)

    def _obey(self, can_read: bool) -> None:
        try:
            orders = self._inbox.orders(can_read=can_read)
        except EOFError:
            os._exit(0)
        for order in orders:
            running = self._running.get(order.number)
            if running is not None:  # else it has ended
                running.obey(order.order)

    def _is_full(self, task: Task) -> bool:
        return bool(self._early) or 0 < task.concurrency <= self._calls[task.function]

    def _begin(self, task: Task) -> None:
        self.begun += 1
        self._running[task.number] = running = RunningTask(task)
        if self._is_full(task):
            self._early.append(running)
        else:
            self._start(running)

    def _start(self, running: RunningTask) -> None:
        self._calls[running.task.function] += 1
        context = contextvars.copy_context()
        running.began = time.monotonic()
        running.handle = self._loop.create_task(self._perform_one(running), name=f"job {running.task.job_id}", context=context)

    async def _perform_one(self, running: RunningTask) -> None:
        self._obey(True)  # whoever cancelled the job may know already that its worker has given the order: it must not begin any more
        try:
            reply = Reply(stopped=True) if running.is_up else await self._perform(running)
        except BaseException:  # nothing that a job does comes here; without this the worker would wait for ever
            log.exception("the process of job %s ends", running.task.job_id)
            os._exit(1)
        number = running.task.number
        reply = msgspec.structs.replace(reply, number=number, seconds=time.monotonic() - running.began)
        del self._running[number]
        self._calls[running.task.function] -= 1
        self._context.run(self._go_on)  # the context of this task belongs to its job
        if self._running:
            self._inbox.reply(reply, rings=False)
            self._ring_soon()
        else:
            self._close()  # at once: no task must begin any more
            self._last.set_result(msgspec.structs.replace(reply, retires=reply.retires or self._is_retiring))

    def _go_on(self) -> None:
        """Begin what has room now that a task has ended."""
        early, self._early = self._early, deque()
        while early and not self._is_full(early[0].task):
            self._start(early.popleft())
        self._early = early
        self._take()

    def _ring_soon(self) -> None:
        """Wake the worker, once for all that begins and ends at this moment."""
        if not self._rings:
            self._rings = True
            self._loop.call_soon(self._ring)

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
