"""Workers in this process whose jobs run when their end is waited for, so that a test decides when each step happens."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import redis

import notify
from notify.errors import ServerUnreachableError
from workers import Queue, Worker
from workers import job as mark
from workers.horse.channel import Reply, Task
from workers.horse.fork_server import Death
from workers.horse.horse import UNKNOWN, HorseEnd
from workers.horse.process_state import ProcessState
from workers.scripts import Claim, ClaimScripts, Refill

QUEUES = {"w0": ["q0", "q1"], "w1": ["q1", "q0"], "w2": ["q0"]}


@mark("q0")
def act() -> int:
    return 1


def fail() -> int:
    raise RuntimeError("it went wrong")


NAME = f"{__name__}.act"


class LeftError(BaseException):
    """Stands for the end of a process."""


class LossyClaims(ClaimScripts):
    """The answer to the next claim may get lost; the server did what it was asked to."""

    loses = False

    def claim(self, *args: Any, **kwargs: Any) -> Claim:
        claim = super().claim(*args, **kwargs)
        if self.loses:
            self.loses = False
            raise ServerUnreachableError("the answer was lost")
        return claim

    def receive_refill(self, *args: Any) -> Refill:
        answer = super().receive_refill(*args)
        if self.loses:
            self.loses = False
            raise ServerUnreachableError("the answer was lost")
        return answer

    def refill(self, *args: Any, **kwargs: Any) -> Refill:
        answer = super().refill(*args, **kwargs)
        if self.loses:
            self.loses = False
            raise ServerUnreachableError("the answer was lost")
        return answer

    def give_back(self, *args: Any, **kwargs: Any) -> set[str]:
        refused = super().give_back(*args, **kwargs)
        if self.loses:
            self.loses = False
            raise ServerUnreachableError("the answer was lost")
        return refused


class HorseHere:
    """A horse in this process: it performs a task when the worker waits for the end, in the way that a test sets.

    Args:
        child: the worker whose performer it uses; in real life that is a copy of the worker in another process.
    """

    pid, is_lost, is_doomed = 0, False, False

    def __init__(self, child: Worker) -> None:
        self._child = child
        child._is_horse = True
        child._performer._state = ProcessState()
        self.end_as = "success"
        self._tasks: list[Task] = []
        self._taken: list[Task] = []
        self._is_dead = False

    def give(self, *tasks: Task) -> None:
        self._tasks += tasks
        self._is_dead = False

    def find_lost(self) -> bool:
        return False

    def add(self, *tasks: Task) -> bool:
        self._tasks += tasks
        return True

    def look(self, _timeout_s: float) -> tuple[list[Reply], Death | None]:
        """Perform the next task, and no other."""
        end = self.wait(0)
        return ([end], None) if isinstance(end, Reply) else ([], end)

    def wait(self, _timeout_s: float) -> HorseEnd:
        task = self._tasks.pop(0)
        if self.end_as == "killed":
            self._is_dead = True
            return UNKNOWN
        self._child._performer._functions = {NAME: fail if self.end_as == "failure" else act}
        try:
            return self._child._performer.perform(task)
        except (LeftError, redis.ResponseError):
            self._is_dead = True
            return UNKNOWN

    def take_back(self) -> int:
        """Take back all but the first task, which is at work; after a death all of them."""
        begun = 0 if self._is_dead else 1
        self._taken, self._tasks = self._tasks[begun:], self._tasks[:begun]
        return len(self._taken)

    def resume(self, *numbers: int) -> None:
        self._tasks += [task for task in self._taken if task.number in numbers]

    def ring(self) -> None: ...

    def watch(self, file: int) -> None: ...

    def unwatch(self, file: int) -> None: ...

    def ring_always(self, value: bool) -> None: ...

    def forget_replies(self, count: int) -> None: ...

    def close(self) -> None:
        self._child._client.close()


class ModelWorker(Worker):
    """A worker in this process, with a horse in this process."""

    _horse: Any

    def procline(self, message: str) -> None: ...

    def forget(self) -> None:
        """Forget all runs, as if they had ended."""
        self._horse.__init__(self._horse._child)
        line = self._loop._line
        line._places.clear()
        line._parked, line._is_held, line.current = 0, False, None
        loop, ahead = self._loop, self._loop.ahead
        ahead._waiting.clear()
        ahead._going_back.clear()
        ahead._has_more = ahead._are_late = False
        ahead._sent = None
        loop._next_claim._start, loop._next_claim._comes_alone, loop._next_claim.overdue = 0, False, ""
        loop._returned.drop()
        loop._claimer._connection.drop()
        loop._claimer._claims.loses = False  # type: ignore[attr-defined]  # it is one of ours
        self._current_run.release()
        self._current_run.early_stops.clear()

    def hang_up(self) -> None:
        """Close its connections."""
        self._loop.close()
        self._client.close()


def make_worker(bus: notify.Bus, name: str, *, window: int = 1) -> ModelWorker:
    child = ModelWorker(QUEUES[name], name, connection=bus.redis, modules=[__name__])
    horse = HorseHere(child)
    with mock.patch.multiple("workers.worker.parts", Horse=lambda *_, **__: horse, ClaimScripts=LossyClaims):
        worker = ModelWorker(QUEUES[name], name, connection=bus.redis, modules=[__name__], window=window)
    worker.register_birth()
    return worker


def lose_an_answer(queue: Queue) -> None:
    """Lose the answer to the next enqueue; the server did what it was asked to."""
    scripts = (queue._enqueue_scripts, queue._enqueue_scripts._plain_script)

    def losing(scripts_of: Any) -> Callable[..., Any]:
        run = scripts_of.run

        def run_once(*args: Any, **kwargs: Any) -> Any:
            for each in scripts:
                del each.run
            run(*args, **kwargs)
            raise ServerUnreachableError("the answer was lost")

        return run_once

    for each in scripts:
        each.run = losing(each)  # type: ignore[method-assign]  # until one of them is called
