"""The stopper, without processes: it hits the run that is meant, at every step, and no other."""

import logging
import threading
from collections.abc import Callable
from signal import SIGKILL, SIGTERM
from typing import Any

import msgspec
import pytest

from notify.errors import ServerUnreachableError
from notify.testing import wait_until
from tests.support.claims_here import STOPPED_CHECK, FakeHorse, FakeScripts, a_claim
from workers import StopLadder, job
from workers.line import Line
from workers.scripts.fences import Fences
from workers.scripts.run import RunCheck
from workers.worker.current_run import CurrentRun
from workers.worker.stop import STOPPED, Stopper

LONG_S = 30.0
SHORT_S = 0.01


@job("work")
def plain() -> None: ...


@job("work", stop=StopLadder(flag_s=SHORT_S, exception_s=SHORT_S, sigterm_s=SHORT_S))
def quick() -> None: ...


@job("work", stop=StopLadder(flag_s=LONG_S))
def slow() -> None: ...


class Situation:
    """A stopper and what it works on. ``start`` has the horse run a function."""

    def __init__(self, **scripts: Any) -> None:
        self.current, self.horse, self.scripts = CurrentRun(), FakeHorse(), FakeScripts(**scripts)
        functions: dict[str, Callable[..., Any]] = {function.__name__: function for function in (plain, quick, slow)}
        horse: Any = self.horse
        parts: Any = self.current, Line(horse, Fences(), self.current.lock)
        options: Any = {"scripts": self.scripts, "functions": functions}
        self.stopper = Stopper(*parts, **options, worker="w")

    def take(self, job_id: str = "j", *, fence: str = "f", function: Any = plain) -> Any:
        data = msgspec.json.encode([function.__name__, None, [], {}])
        return self.current.take(a_claim(job_id, fence=fence, fields={b"data": data}))

    def start(self, job_id: str = "j", *, fence: str = "f", function: Any = plain) -> Any:
        run = self.take(job_id, fence=fence, function=function)
        self.current.prepare_start()
        self.current.started(self.horse.pid)
        return run


def test_a_run_in_the_horse_is_marked_and_killed() -> None:
    its = Situation()
    its.stopper.stop_run(its.start(), STOPPED_CHECK)
    assert (its.current.stopped_job_id, its.current.stop_reason, its.horse.signals) == ("j", STOPPED, [SIGKILL])


def test_a_run_that_the_horse_does_not_have_yet_is_marked_and_nothing_is_killed() -> None:
    its = Situation()
    its.stopper.stop_run(its.take(), STOPPED_CHECK)
    assert (its.current.stopped_job_id, its.horse.signals) == ("j", [])


def test_a_stop_that_comes_after_its_run_does_not_hit_the_next_run_of_the_same_job() -> None:
    its = Situation()
    run = its.start(fence="1")
    its.current.release()
    its.start(fence="2")
    its.stopper.stop_run(run, STOPPED_CHECK)
    assert (its.current.stopped_job_id, its.horse.signals) == (None, [])


def test_a_superseded_run_is_killed_and_not_marked_as_stopped() -> None:
    """The job belongs to another run: how that ends is not decided here."""
    its = Situation()
    its.stopper.stop_run(its.start(), RunCheck(may_run=False, superseded=True))
    assert (its.current.stopped_job_id, its.horse.signals) == (None, [SIGKILL])


def test_a_run_that_lost_a_service_is_stopped_for_it() -> None:
    its = Situation()
    its.stopper.stop_run(its.start(), RunCheck(may_run=False, lost="svc"))
    assert (its.current.stopped_job_id, its.current.stop_reason) == ("j", "svc is gone")


def test_a_run_that_may_continue_is_left_alone() -> None:
    its = Situation(found=RunCheck(may_run=True))
    its.stopper.check_run(its.start())
    assert (its.scripts.checked, its.current.stopped_job_id, its.horse.signals) == ([("j", "f")], None, [])


def test_a_horse_without_a_run_gets_no_signal() -> None:
    its = Situation()
    its.stopper.kill()
    its.start()
    its.current.ended()
    its.stopper.kill()
    assert its.horse.signals == []


def test_a_command_stops_the_job_in_hand() -> None:
    its = Situation()
    its.start()
    its.stopper.obey_stop("j")
    assert (its.scripts.stopped, its.current.stopped_job_id, its.horse.signals) == (["j"], "j", [SIGKILL])


def test_a_command_for_a_job_of_another_worker_stops_nothing() -> None:
    its = Situation()
    its.start()
    its.stopper.obey_stop("another")
    assert (its.scripts.stopped, its.scripts.checked, its.current.early_stops, its.horse.signals) == ([], [], set(), [])


def test_a_command_of_rq_3_for_another_run_of_the_job_stops_nothing() -> None:
    its = Situation()
    its.start()
    run = its.current.run
    assert run is not None
    its.stopper.obey_stop(run.job_id, fence="of another run")
    assert (its.scripts.stopped, its.current.early_stops, its.horse.signals) == ([], set(), [])
    its.stopper.obey_stop(run.job_id, fence=run.fence)
    assert its.scripts.stopped == [run.job_id]


def test_a_stop_before_the_answer_to_the_claim_is_kept_for_the_run() -> None:
    its = Situation(is_mine=True)
    its.stopper.obey_stop("j")
    assert (its.scripts.stopped, its.scripts.checked, its.current.early_stops) == (["j"], [], {"j"})


def test_a_run_that_is_taken_while_its_early_stop_is_looked_up_is_stopped() -> None:
    """The main loop has looked for an early stop when the command thread records it: that thread has to look for the run itself."""
    its = Situation(is_mine=True)
    its.scripts.before_the_answer = its.start
    its.stopper.obey_stop("j")
    assert (its.current.stopped_job_id, its.horse.signals) == ("j", [SIGKILL])


def test_a_kill_that_was_replaced_is_called_instead() -> None:
    its = Situation()
    killed: list[Any] = []
    its.stopper._kill = lambda *signum: killed.append(signum)
    its.stopper.stop_run(its.start(), STOPPED_CHECK)
    its.current.release()
    its.stopper.stop_run(its.start(function=quick), STOPPED_CHECK)
    wait_until(lambda: len(killed) == 3)
    assert (killed, its.horse.signals) == ([(), (SIGTERM,), ()], ["interrupt"])


def test_a_stop_ladder_is_climbed_step_by_step_once() -> None:
    its = Situation()
    run = its.start(function=quick)
    for _ in range(3):
        its.stopper.stop_run(run, STOPPED_CHECK)
    wait_until(lambda: SIGKILL in its.horse.signals)
    assert its.horse.signals == ["interrupt", SIGTERM, SIGKILL]
    assert its.current.stop_sign.is_up


def test_a_stop_ladder_ends_with_the_run() -> None:
    its = Situation()
    its.stopper.stop_run(its.start(function=slow), STOPPED_CHECK)
    wait_until(lambda: its.current.stop_sign.is_up)
    assert its.current.stopped_job_id == "j"
    its.current.over.set()
    wait_until(lambda: not ladders())
    assert its.horse.signals == []


def test_a_stop_ladder_does_not_hit_the_next_run() -> None:
    """The run is released and another one has started when the time of a step is over."""
    its = Situation()
    run = its.start(function=quick)
    with its.current.lock:  # the ladder waits for it before its first step
        its.stopper.stop_run(run, STOPPED_CHECK)
        its.current.release()
        its.start("k")
    wait_until(lambda: not ladders())
    assert (its.horse.signals, its.current.stop_sign.is_up) == ([], False)


def test_all_commands_but_stop_are_handed_on() -> None:
    its = Situation()
    its.start()
    handed_on: list[Any] = []
    its.stopper.obey(b'{"command": "kill-horse"}', otherwise=handed_on.append)
    its.stopper.obey(b'{"command": "stop-job", "job_id": "j"}', otherwise=handed_on.append)
    assert (handed_on, its.current.stopped_job_id) == ([{"command": "kill-horse"}], "j")


@pytest.mark.parametrize(
    ("command", "logged"),
    [(b"[]", "cannot obey"), (b'{"command": "\xff"}', "cannot obey"), (b'{"command": "stop-job"' + b" " * 1000 + b"}", "limit is 1000")],
)
def test_a_command_that_cannot_be_obeyed_is_logged(caplog: pytest.LogCaptureFixture, command: bytes, logged: str) -> None:
    its = Situation()
    with caplog.at_level(logging.WARNING):
        its.stopper.obey(command, otherwise=lambda _: pytest.fail("it was handed on"))
    assert logged in caplog.text


def test_a_command_that_the_server_does_not_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The thread for commands must not end of it."""
    its = Situation()

    def fail() -> None:
        raise ServerUnreachableError("gone for a moment")

    its.scripts.before_the_answer = fail
    with caplog.at_level(logging.WARNING):
        its.stopper.obey(b'{"command": "stop-job", "job_id": "j"}', otherwise=lambda _: None)
    assert "gone for a moment" in caplog.text


def ladders() -> list[str]:
    """Return the threads that climb a stop ladder."""
    return [thread.name for thread in threading.enumerate() if thread.name == "notify-stop"]
