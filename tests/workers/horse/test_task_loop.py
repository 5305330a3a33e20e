"""The event loop of the horse: which tasks begin, and when, without a worker that does anything meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from notify.testing import wait_until
from tests.support.inbox_desk import InboxDesk
from workers.horse import Reply, RunningTask, Task, TaskLoop

pytestmark = pytest.mark.any_server


class Desk(InboxDesk):
    """A task loop in a thread, and the worker's ends of what leads to it."""

    def __init__(self, worker: socket.socket, horse: socket.socket) -> None:
        super().__init__(worker, horse)
        self.tasks = TaskLoop(self.inbox, self._perform, most=100)
        self.begun: list[int] = []
        self.goes_on: dict[int, Callable[[], object]] = {}
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.tasks.run(self.inbox.take(5.0, lambda: None))

    async def _perform(self, running: RunningTask) -> Reply:
        number, end = running.task.number, asyncio.Event()
        self.goes_on[number] = partial(asyncio.get_running_loop().call_soon_threadsafe, end.set)
        self.begun.append(number)
        await end.wait()
        return Reply()

    def give(self, *numbers: int, function: str = "f", concurrency: int = 2) -> None:
        options: Any = {"runs_beside": True, "function": function, "concurrency": concurrency}
        self.send(*(Task(f"job-{number}", "f", "work", {}, number=number, **options) for number in numbers))

    def await_begun(self, *numbers: int) -> None:
        """Wait until these have begun, and the loop has had a turn in which others might have."""
        wait_until(lambda: len(self.begun) >= len(numbers), what=f"the beginning of {numbers}, not of {self.begun}")
        turn = threading.Event()
        loop = self.tasks._loop
        loop.call_soon_threadsafe(loop.call_soon, loop.call_soon, turn.set)
        assert turn.wait(5)
        assert self.begun == list(numbers)

    def end(self, number: int) -> None:
        self.goes_on.pop(number)()

    def end_all(self) -> None:
        """End the tasks as they begin, until the loop is over."""
        while self.thread.is_alive():
            for number in list(self.goes_on):
                self.end(number)
            self.thread.join(0.002)


@pytest.fixture
def desk() -> Iterator[Desk]:
    worker, horse = socket.socketpair()
    with worker, horse:
        made = Desk(worker, horse)
        made.thread.start()
        yield made
        made.end_all()
        made.tokens.close()
        made.bell.close()


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_a_task_without_room_begins_when_another_one_ends(desk: Desk, kind: str) -> None:
    """The tasks of the twin do not say how many may go on, and all begin."""
    desk.give(1, 2, 3, 4, concurrency=2 if kind == "protected" else 0)
    if kind == "twin":
        desk.await_begun(1, 2, 3, 4)
        return
    desk.await_begun(1, 2)
    assert desk.board.begun == 2
    desk.end(2)
    desk.await_begun(1, 2, 3)
    desk.end(1)
    desk.await_begun(1, 2, 3, 4)


def test_a_task_behind_one_without_room_does_not_overtake_it(desk: Desk) -> None:
    desk.give(1, 2, 3)
    desk.give(4, function="g")
    desk.await_begun(1, 2)
    desk.end(1)
    desk.await_begun(1, 2, 3, 4)


def test_a_task_that_is_taken_back_before_there_is_room_never_begins(desk: Desk) -> None:
    desk.give(1, 2, 3, 4)
    desk.await_begun(1, 2)
    assert desk.tokens.take_back() == 2
    desk.tokens.give(4)
    desk.end(1)
    desk.await_begun(1, 2, 4)
    desk.end(2)
    desk.give(5)
    desk.await_begun(1, 2, 4, 5)


@pytest.mark.parametrize("order", ["flag", "cancel"])
@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_a_task_does_not_begin_after_an_order_to_end_it(desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str, order: str) -> None:
    """The order comes after the token was taken. The twin does not look for it before the first step of the task."""
    taking = desk.inbox.take_now

    def order_when_taken() -> Task | None:
        if (task := taking()) is not None:
            desk.channel.send(Task(task.job_id, "f", "", {}, number=task.number, order=order))
        return task

    monkeypatch.setattr(desk.inbox, "take_now", order_when_taken)
    if kind == "twin":
        monkeypatch.setattr(desk.tasks, "_obey", lambda _: None)
    desk.give(1)
    desk.await_begun(1)
    desk.give(2)
    desk.await_begun(*(1,) if kind == "protected" else (1, 2))


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_a_task_that_comes_in_place_of_one_with_room_waits_for_room(desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The worker takes the token back between the look at it and its taking. The twin does not look again, and begins one too many."""
    taking = desk.inbox.take_now

    def take_back_first() -> Task | None:
        if len(desk.begun) == 2 and desk.tokens.take_back():
            desk.tokens.give(4)
        return taking()

    monkeypatch.setattr(desk.inbox, "take_now", take_back_first)
    desk.give(1, 2)
    desk.await_begun(1, 2)
    if kind == "twin":

        def begin_at_once(task: Task) -> None:
            desk.tasks._running[task.number] = running = RunningTask(task)
            desk.tasks._start(running)

        monkeypatch.setattr(desk.tasks, "_begin", begin_at_once)
    desk.channel.send(
        *(
            Task(f"job-{number}", "f", "work", {}, number=number, function=function, concurrency=2)
            for number, function in ((3, "g"), (4, "f"))
        )
    )
    desk.tokens.give(3)
    desk.await_begun(*(1, 2) if kind == "protected" else (1, 2, 4))
    desk.end(1)
    desk.await_begun(1, 2, 4)
