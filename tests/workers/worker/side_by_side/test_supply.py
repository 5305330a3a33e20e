"""What is claimed when, step by step without a server: as much as there is room for, or soon will be."""

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.claims_here import a_claim, no_claim
from workers.line import MOST_AHEAD
from workers.scripts import Claim, Refill
from workers.worker.side_by_side.supply import Supply

pytestmark = pytest.mark.any_server

NONE: Counter[str] = Counter()


class Claimer:
    """Answers one claim after the other, and records what was asked: how many, or ``alone``, and the rooms."""

    def __init__(self, *answers: Claim | Refill) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, dict[str, int]]] = []

    def refill(self, queues: Any, *, wanted: int, rooms: dict[str, int], **_: Any) -> Any:
        self.asked.append((wanted, rooms))
        return self.answers.pop(0)

    def claim(self, queues: Any, *, rooms: dict[str, int], **_: Any) -> Any:
        self.asked.append(("alone", rooms))
        return self.answers.pop(0)


class NoReturned:
    """No run has ended."""

    def __len__(self) -> int:
        return 0

    def ends(self) -> list[Any]:
        return []

    def conclude(self, answers: Any) -> None: ...


def a_supply(*answers: Claim | Refill) -> tuple[Any, Claimer]:
    claimer, worker = Claimer(*answers), SimpleNamespace(name="w", _ordered_queues=[])
    intake = SimpleNamespace(take=lambda: False, ask=lambda _: None)
    parts: Any = {"claims": None, "claimer": claimer, "returned": NoReturned(), "intake": intake, "most": {"f": 2}}
    supply: Any = Supply(worker, **parts)  # type: ignore[arg-type]  # it has what is needed of a worker
    supply.begin()
    return supply, claimer


def step(supply: Any, running: int, *, ending: int = 0, unbegun: int = 0) -> list[str]:
    """One step of the group. Returns the ids of the jobs that were claimed."""
    places = [SimpleNamespace(bytes=10)] * unbegun
    found = supply.claim([], Counter(f=running), may_claim=True, ending=Counter(f=ending), unbegun=places)
    return [claim.job_id for claim in found]


def some(*names: str, more: bool = True) -> Refill:
    return Refill((), "started", tuple(map(a_claim, names)), more)


def test_a_worker_without_room_waits_for_an_end_and_does_not_ask_again_at_once() -> None:
    """It asked without a pause, and kept a core busy for as long as its jobs took."""
    supply, claimer = a_supply(some("a"))
    assert step(supply, 1) == ["a"]
    assert supply.due_in_s == 0.0, "the twin: with room it asks at once"
    assert (step(supply, 2), supply.due_in_s, len(claimer.asked)) == ([], math.inf, 1)


def test_a_job_is_claimed_for_each_run_that_is_about_to_end() -> None:
    supply, claimer = a_supply(some("a"), some("b"))
    assert [step(supply, 2), step(supply, 2, ending=1), step(supply, 3, ending=1, unbegun=1)] == [[], ["a"], []]
    assert [step(supply, 3, ending=2, unbegun=1), claimer.asked] == [["b"], [(1, {"f": 1}), (1, {"f": 1})]]


def test_no_more_are_claimed_than_may_wait_for_room() -> None:
    supply, claimer = a_supply(some("a"))
    assert step(supply, 40, ending=100, unbegun=MOST_AHEAD) == []
    assert step(supply, 40, ending=100, unbegun=MOST_AHEAD - 3) == ["a"]
    assert claimer.asked == [(3, {"f": 62})]


def test_a_job_that_has_to_be_claimed_alone_is_not_claimed_before_there_is_room() -> None:
    """It needs a service, for example. All that were claimed have begun then."""
    alone = Refill((), "alone", (), has_more=True)
    supply, claimer = a_supply(alone, alone, a_claim("n"), some("b"))
    assert step(supply, 2, ending=1, unbegun=1) == []
    assert (step(supply, 2, ending=1), supply.goes_ahead, supply.due_in_s) == ([], False, math.inf)
    assert step(supply, 1, ending=1, unbegun=1) == []
    assert step(supply, 1, ending=1) == ["n"]
    assert claimer.asked == [(1, {"f": 1}), (1, {"f": 1}), ("alone", {"f": 1})]
    assert step(supply, 1, ending=1) == ["b"]


def test_more_room_ends_the_pause_after_a_claim_in_vain() -> None:
    supply, claimer = a_supply(Refill((), "full", (), has_more=True), some("a"))
    supply._most["g"] = 1
    assert (step(supply, 2), step(supply, 2), len(claimer.asked)) == ([], [], 1)
    assert step(supply, 2, ending=1) == ["a"]


def test_an_empty_queue_is_not_asked_again_before_a_token_comes() -> None:
    supply, claimer = a_supply(Refill((), "", (), has_more=False), no_claim())
    assert (step(supply, 1), step(supply, 1), len(claimer.asked), supply.goes_ahead) == ([], [], 1, False)
