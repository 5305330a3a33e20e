"""The line of runs that go on side by side: they end in any order, and a stop hits one of them."""

import threading
from typing import Any

import msgspec
import pytest

from tests.support.claims_here import FakeHorse, a_claim, returned
from workers import StopLadder
from workers.horse import Task
from workers.line import Line, Place, Stopping, stopping
from workers.scripts.fences import Fences

FENCES = Fences()


class AskedHorse(FakeHorse):
    """A horse that has begun all of its tasks, and records its orders."""

    begun = 1_000

    def __init__(self, *ends: Any) -> None:
        super().__init__(*ends)
        self.orders: list[tuple[str, str]] = []

    def order(self, order: Task) -> None:
        self.orders.append((order.job_id, order.order))


def a_line(*ends: Any) -> tuple[Line, AskedHorse, list[Place]]:
    """A line with three runs that go on side by side."""
    horse: Any = AskedHorse(*ends)
    line = Line(horse, FENCES, threading.RLock())
    claims = [a_claim(name, fence=FENCES.fence(number)) for number, name in enumerate("abc", 1)]
    places = [Place(claim, None, is_announced=True, runs_beside=True) for claim in claims]
    for place in places:
        place.queue = type("Queue", (), {"name": "work"})
    line.give(places)
    return line, horse, places


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_reply_ends_the_run_that_it_names(number: int) -> None:
    reply = msgspec.structs.replace(returned(), number=number)
    line, _, places = a_line(reply)
    line.wait(0)
    assert [place.is_over for place in places] == [place.number == number for place in places]


def test_a_reply_without_a_number_would_end_the_oldest_run_whichever_it_is() -> None:
    """The twin: for runs that are performed in turn that is right."""
    line, _, places = a_line(returned("c"))
    line.wait(0)
    assert [place.is_over for place in places] == [True, False, False]


def test_a_stop_orders_one_task_to_end_and_kills_nothing() -> None:
    line, horse, places = a_line()
    assert line.stop(places[0].run) == "beside"
    line.stop_beside(places[0].run, Stopping("no more", StopLadder()))
    line.stop_beside(places[0].run, Stopping("no more", StopLadder()))
    assert (horse.orders, horse.signals) == ([("a", "cancel")], [])


def test_a_stop_of_the_last_run_would_be_a_kill_if_runs_were_performed_in_turn() -> None:
    """The twin: the last one that has begun is at work, and a kill of the process hits no other."""
    line, _, places = a_line()
    for place in places:
        place.runs_beside = False
    assert [line.stop(place.run) for place in places] == ["over", "over", "at work"]


def test_the_steps_of_a_stop_are_the_flag_the_error_and_the_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now)
    steps = Stopping("no more", StopLadder(flag_s=2, exception_s=3))
    found = []
    while steps.due_in_s < 100:
        now += steps.due_in_s
        found.append((steps.next_step(), now))
        assert steps.next_step() == "" or steps.due_in_s == 0
    assert found == [("flag", 100.0), ("cancel", 102.0), ("kill", 105.0)]


def test_a_job_without_a_ladder_has_a_second_for_its_end() -> None:
    steps = Stopping("no more", StopLadder())
    assert (steps.next_step(), 0.5 < steps.due_in_s <= 1.0) == ("cancel", True)
