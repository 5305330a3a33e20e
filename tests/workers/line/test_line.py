"""The line of runs that are performed in turn: who has begun, what a stop hits, and what a death leaves. The tokens are real."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.claims_here import a_claim
from tests.support.token_horse import TokenHorse
from workers.errors import HorseError
from workers.horse import Death, Reply
from workers.line import Line, Place
from workers.scripts.fences import Fences

pytestmark = pytest.mark.any_server

QUEUE: Any = SimpleNamespace(name="work")


class World:
    """A line, its horse, and the places of the jobs ``a`` to ``e``, which the horse has got."""

    def __init__(self, horse: TokenHorse) -> None:
        self.horse: Any = horse
        self.fences = Fences()
        self.line = Line(self.horse, self.fences, threading.RLock())
        self.places: dict[str, Place] = {}
        self.line.give(self.made("abcde"))

    def made(self, names: str) -> list[Place]:
        for name in names:
            claim = a_claim(name, fence=self.fences.fence(self.fences.take()))
            self.places[name] = Place(claim, QUEUE, is_announced=True)
        return [self.places[name] for name in names]

    def stop(self, name: str) -> str:
        return self.line.stop(self.places[name].run)

    def names(self) -> str:
        return "".join(run.job_id for run in self.line.runs())


@pytest.fixture
def world() -> Iterator[World]:
    with TokenHorse() as horse:
        yield World(horse)


def test_the_horse_begins_what_it_has_in_its_order(world: World) -> None:
    assert world.horse.begin_all() == list("abcde")
    assert (world.names(), len(world.line), world.line.has_unbegun) == ("abcde", 5, False)


def test_a_batch_rings_at_its_end_and_the_first_one_in_its_middle_as_well(world: World) -> None:
    world.line.give(world.made("fghi"))
    assert [name for name, place in world.places.items() if place.rings] == ["c", "e", "i"]


def test_a_run_that_has_not_begun_is_taken_out_and_the_others_begin_in_their_order(world: World) -> None:
    assert world.horse.begin() == "a"
    assert world.stop("c") == "unbegun"
    assert world.places["c"].is_dropped
    assert world.horse.begin_all() == ["b", "d", "e"]
    assert world.horse.rings_always, "the run at whose end it was to ring may have been taken out"


def test_the_run_at_work_is_to_be_killed_and_nothing_begins_until_its_end_is_known(world: World) -> None:
    assert [world.horse.begin() for _ in range(2)] == ["a", "b"]
    assert world.stop("b") == "at work"
    assert world.horse.begin() == "", "the kill would hit it"
    world.line.settle()
    assert world.horse.begin_all() == ["c", "d", "e"]


def test_the_twin_that_takes_nothing_back_has_the_kill_hit_another_run(world: World) -> None:
    assert world.horse.begin() == "a"
    world.horse.take_back = lambda: 0
    world.stop("a")
    assert world.horse.begin() == "b"


def test_a_run_that_has_ended_is_not_killed_although_its_reply_is_under_way(world: World) -> None:
    assert [world.horse.begin() for _ in range(3)] == ["a", "b", "c"]
    world.horse.reply("a")
    assert world.stop("a") == "over"
    assert world.stop("b") == "over"
    assert world.horse.begin() == "d", "the others go on"


def test_the_end_of_a_run_and_an_unknown_run_are_told_apart(world: World) -> None:
    world.horse.begin()
    world.horse.reply("a")
    assert world.line.wait(0)
    assert (world.places["a"].is_over, world.names()) == (True, "bcde")
    assert world.stop("a") == "unknown"
    assert world.line.find("a") is None
    assert world.line.find("b") == world.places["b"].run
    assert world.line.claim_of(world.places["b"].run) == world.places["b"].claim


def test_a_death_ends_the_run_at_work_and_gives_the_others_to_the_next_horse(world: World) -> None:
    assert [world.horse.begin() for _ in range(2)] == ["a", "b"]
    world.horse.reply("a")
    world.horse.die()
    world.line.wait(0)
    assert world.places["a"].end is not None
    assert world.places["b"].end is not None
    assert world.names() == "cde"
    assert world.horse.begin_all() == ["c", "d", "e"]
    assert [task.job_id for task in world.horse.given] == list("abcdecde"), "the next one gets the bodies again"


def test_a_horse_that_dies_before_it_began_anything_costs_no_run(world: World) -> None:
    world.horse.die()
    world.line.wait(0)
    assert all(place.end is None for place in world.places.values())
    assert world.horse.begin_all() == list("abcde")


def test_a_death_between_a_stop_and_its_kill_is_the_end_of_the_run_at_work_only(world: World) -> None:
    assert world.horse.begin() == "a"
    world.stop("a")
    world.horse.die()
    world.line.wait(0)
    assert (world.places["a"].end is not None, world.names()) == (True, "bcde")
    assert world.horse.begin() == "", "it is held until the end is recorded"
    world.line.settle()
    assert world.horse.begin() == "b"


def test_a_horse_that_retires_has_taken_no_token_after_its_reply(world: World) -> None:
    assert world.horse.begin() == "a"
    world.horse.reply("a", retires=True)
    world.line.wait(0)
    assert (world.places["a"].is_over, world.places["a"].kept_by, world.names()) == (True, 0, "bcde")
    assert world.horse.begin_all() == ["b", "c", "d", "e"]


def test_replies_are_forgotten_of_this_horse_only(world: World) -> None:
    assert [world.horse.begin() for _ in range(2)] == ["a", "b"]
    world.horse.reply("a")
    world.line.wait(0)
    world.horse.pid = 4712
    world.horse.reply("b")
    world.line.wait(0)
    world.line.forget([world.places["a"], world.places["b"]])
    assert world.horse.forgotten == 1


def test_what_has_not_begun_is_taken_out_but_not_what_the_main_loop_has_come_to(world: World) -> None:
    assert world.horse.begin() == "a"
    world.line.current = world.places["b"]
    taken = world.line.take_unbegun()
    assert [place.run.job_id for place in taken] == ["c", "d", "e"]
    assert world.horse.begin_all() == ["b"]
    assert world.line.take_unbegun() == []


def test_a_worker_that_is_told_to_end_begins_only_what_it_has_come_to(world: World) -> None:
    world.line.current = world.places["a"]
    world.line.leave()
    assert world.horse.begin_all() == ["a"]
    world.line.give(world.made("f"))
    assert world.horse.begin() == ""
    world.line.reopen()
    world.line.settle()
    assert world.horse.begin_all() == ["b", "c", "d", "e", "f"]


def test_a_signal_that_interrupts_a_change_is_obeyed_after_it(world: World) -> None:
    """`leave` may be called by a signal handler in the middle of `give`, in the same thread."""
    resumed = world.horse.give

    def interrupted(*tasks: Any) -> None:
        world.line.leave()
        resumed(*tasks)

    world.horse.add = interrupted
    world.line.give(world.made("f"))
    assert world.horse.begin() == ""


def test_a_kill_lets_nothing_begin_before_the_death(world: World) -> None:
    assert world.horse.begin() == "a"
    world.line.kill()
    assert (world.horse.begin(), len(world.horse.signals)) == ("", 1)
    world.horse.die()
    world.line.wait(0)
    world.line.settle()
    assert world.horse.begin() == "b"


def test_a_horse_that_was_sent_a_signal_gets_nothing_and_is_killed(world: World) -> None:
    """It may have survived the signal, which would hit the next run."""
    assert world.horse.begin() == "a"
    world.line.stop(world.places["a"].run)
    world.horse.is_doomed = True
    world.horse.reply("a")
    world.line.wait(0)
    world.line.settle()
    assert (world.horse.begin(), len(world.horse.signals)) == ("", 1)


def test_runs_for_which_no_process_can_be_forked_stay_parked_and_can_be_removed(world: World) -> None:
    assert world.horse.begin_all() == list("abcde")
    for name in "abcde":
        world.horse.reply(name)
    world.line.wait(0)
    assert len(world.line) == 0
    world.horse.fails = True
    with pytest.raises(HorseError):
        world.line.give(world.made("f"))
    world.line.remove(world.places["f"])
    assert len(world.line) == 0


def test_more_than_256_runs_one_after_the_other_have_tokens_of_one_byte(world: World) -> None:
    assert world.horse.begin_all() == list("abcde")
    for _ in range(100):
        world.line.give(world.made("xyz"))
        world.stop("y")
        assert world.horse.begin_all() == ["x", "z"]


def test_the_bytes_of_the_line_are_those_of_its_jobs() -> None:
    with TokenHorse() as horse:
        line = Line(horse, Fences(), threading.RLock())  # type: ignore[arg-type]  # it stands for one
        fields = {b"data": b"x" * 100, b"origin": b"work"}
        line.give([Place(a_claim("a", fence="f" * 32, fields=fields), QUEUE, is_announced=True)])
        assert line.bytes() == 104


def test_without_a_fork_server_the_run_that_the_main_loop_waits_for_is_given_back(world: World) -> None:
    """It would wait for ever: no process begins the run, and what the main loop has come to is not taken out with the others."""
    assert world.horse.begin() == "a"
    world.line.current = world.places["b"]
    world.horse.die()
    world.horse.fails = world.horse.is_lost = True
    world.line.wait(0)
    assert isinstance(world.places["a"].end, Death)
    assert world.places["b"].end == Reply(is_late=True, number=world.places["b"].number)
    assert [place.run.job_id for place in world.line.take_unbegun()] == ["c", "d", "e"]
