"""Workers in this process whose jobs run when their end is waited for, so that a test decides when each step happens."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import redis

import notify
from notify.errors import ServerUnreachableError
from workers import Queue, Worker
from workers import job as mark
from workers.horse.channel import Task
from workers.horse.horse import UNKNOWN, HorseEnd
from workers.horse.process_state import ProcessState
from workers.scripts.claim import Claim, ClaimScripts

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


class HorseHere:
    """A horse in this process: it performs a task when the worker waits for the end, in the way that a test sets.

    Args:
        child: the worker whose performer it uses; in real life that is a copy of the worker in another process.
    """

    pid, is_lost = 0, False

    def __init__(self, child: Worker) -> None:
        self._child = child
        child._is_horse = True
        child._performer._state = ProcessState()
        self.end_as = "success"

    def give(self, task: Task) -> None:
        self._task = task

    def wait(self, _timeout_s: float) -> HorseEnd:
        if self.end_as == "killed":
            return UNKNOWN
        self._child._performer._functions = {NAME: fail if self.end_as == "failure" else act}
        try:
            return self._child._performer.perform(self._task)
        except (LeftError, redis.ResponseError):
            return UNKNOWN

    def close(self) -> None:
        self._child._client.close()


class ModelWorker(Worker):
    """A worker in this process, with a horse in this process."""

    _horse: Any

    def procline(self, message: str) -> None: ...

    def hang_up(self) -> None:
        """Close its connections."""
        self._loop.close()
        self._client.close()


def make_worker(bus: notify.Bus, name: str) -> ModelWorker:
    child = ModelWorker(QUEUES[name], name, connection=bus.redis, modules=[__name__])
    horse = HorseHere(child)
    with mock.patch.multiple("workers.worker.parts", Horse=lambda _: horse, ClaimScripts=LossyClaims):
        worker = ModelWorker(QUEUES[name], name, connection=bus.redis, modules=[__name__])
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
