"""The inbox of a horse: which task begins, and which must not begin any more."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.inbox_desk import InboxDesk
from workers.horse.channel import Task

pytestmark = pytest.mark.any_server


class Desk(InboxDesk):
    """An inbox, and the worker's ends of what leads to it."""

    def give(self, *numbers: int, begin_by: float = math.inf) -> None:
        self.send(*(Task(f"job-{number}", "f", "work", {}, number=number, begin_by=begin_by) for number in numbers))

    def take(self) -> str:
        return self.inbox.take(5.0, lambda: None).job_id


@pytest.fixture
def desk() -> Iterator[Desk]:
    worker, horse = socket.socketpair()
    with worker, horse:
        made = Desk(worker, horse)
        yield made
        made.tokens.close()
        made.bell.close()


def test_tasks_begin_in_their_order_and_the_board_tells_the_last_one(desk: Desk) -> None:
    desk.give(5, 6)
    assert [desk.take(), desk.take()] == ["job-5", "job-6"]
    assert (desk.board.begun, desk.inbox.take_now(), desk.inbox.is_late) == (6, None, False)


def test_a_callback_that_is_owed_has_no_number_and_does_not_turn_the_board_back(desk: Desk) -> None:
    """The last will of the worker would take all runs for such that have not begun."""
    desk.give(5)
    desk.take()
    desk.give(0)
    assert (desk.take(), desk.board.begun) == ("job-0", 5)


def test_a_task_whose_token_was_taken_back_is_passed_over(desk: Desk) -> None:
    desk.give(1, 2, 3)
    assert desk.tokens.take_back() == 3
    desk.tokens.give(2)
    assert (desk.take(), desk.inbox.take_now()) == ("job-2", None)
    desk.give(4)
    assert desk.take() == "job-4"


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_a_task_that_was_taken_back_does_not_begin_by_the_token_of_a_later_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Claims use up numbers also when they bring nothing. The tokens of the twin are of one byte, as they were."""
    if kind == "twin":
        monkeypatch.setattr("workers.horse.tokens.NUMBERS", 256)
    desk.give(1)
    assert desk.tokens.take_back() == 1
    desk.give(257)
    assert desk.take() == ("job-257" if kind == "protected" else "job-1")


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_a_task_does_not_begin_after_its_time(desk: Desk, kind: str) -> None:
    """Its worker was frozen, and others may hold it for dead. The twin has no such time, and begins."""
    desk.give(7, begin_by=time.monotonic() - 0.001 if kind == "protected" else math.inf)
    assert desk.take() == "job-7"
    assert (desk.inbox.is_late, desk.board.begun) == ((True, 0) if kind == "protected" else (False, 7))


@pytest.mark.parametrize("kind", ["protected", "twin"])
def test_orders_that_were_read_together_with_a_task_are_not_waited_for(desk: Desk, kind: str) -> None:
    """An event loop learns of the token and of the channel in one look; the reader of the token takes what is in both."""
    desk.give(1)
    assert desk.inbox.take_now() is not None
    read: Callable[[], object] = partial(desk.inbox.orders, can_read=True) if kind == "protected" else desk.inbox._channel.fill
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.5 if kind == "twin" else 20)
    assert reader.is_alive() == (kind == "twin")
    desk.give(2)  # ends the wait of the twin
    reader.join()
