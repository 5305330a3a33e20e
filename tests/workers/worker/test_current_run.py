"""The current run: what is true of it ends with it, and nothing changes it while its lock is held."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from rq.executions import Execution

from tests.support.claims_here import a_claim
from workers.scripts.run import Run
from workers.worker.current_run import CurrentRun


@pytest.fixture
def current() -> CurrentRun:
    return CurrentRun()


def test_a_run_is_current_from_its_claim_until_it_is_released(current: CurrentRun) -> None:
    claim = a_claim("j", fence="f")
    run = current.take(claim)
    assert (run, current.run, current.claim) == (Run("j", "f"), run, claim)
    assert current.is_current(run)
    current.release()
    assert not current.is_current(run)
    assert (current.run, current.claim) == (None, None)


def test_an_earlier_run_of_the_same_job_is_not_current(current: CurrentRun) -> None:
    """A stop that was decided for the earlier run must not hit this one."""
    earlier = current.take(a_claim("j", fence="1"))
    current.release()
    later = current.take(a_claim("j", fence="2"))
    assert (current.is_current(earlier), current.is_current(later)) == (False, True)


def test_a_stop_counts_for_the_run_in_hand_only(current: CurrentRun) -> None:
    current.take(a_claim("j", fence="1"))
    current.mark_stopped("why")
    assert (current.stopped_job_id, current.stop_reason) == ("j", "why")
    current.release()
    current.take(a_claim("j", fence="2"))
    assert current.stopped_job_id is None


def test_without_a_run_nothing_is_marked_as_stopped(current: CurrentRun) -> None:
    current.mark_stopped("why")
    assert current.stopped_job_id is None


def test_an_early_stop_is_forgotten_with_the_run(current: CurrentRun) -> None:
    """It was meant for a run that was being claimed; a later run of the same job must not find it."""
    current.expect_stop("j")
    current.take(a_claim("j"))
    assert current.early_stops == {"j"}
    current.release()
    assert current.early_stops == set()


def test_rqs_object_for_a_run_goes_with_the_run(current: CurrentRun) -> None:
    execution: Any = object.__new__(Execution)
    current.take(a_claim("j"))
    current.execution = execution
    current.release()
    assert current.execution is None
    current.execution = execution
    current.adopt(Run("k", "f"))
    assert (current.execution, current.run) == (None, Run("k", "f"))


def test_what_the_run_before_left_behind_is_reset_before_a_start(current: CurrentRun) -> None:
    current.stop_sign.put_up()
    current.over.set()
    current.prepare_start()
    assert (current.stop_sign.is_up, current.over.is_set()) == (False, False)


def test_the_horse_has_the_run_between_its_start_and_its_end(current: CurrentRun) -> None:
    current.prepare_start()
    current.started(4711)
    assert (current.horse_pid, current.over.is_set()) == (4711, False)
    current.ended()
    assert (current.horse_pid, current.over.is_set()) == (0, True)


CHANGES: dict[str, Callable[[CurrentRun], object]] = {
    "take": lambda current: current.take(a_claim("k")),
    "release": lambda current: current.release(),
    "mark_stopped": lambda current: current.mark_stopped("why"),
    "ended": lambda current: current.ended(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_other_thread_changes_the_run_while_the_lock_is_held(current: CurrentRun, change: str) -> None:
    """So that between a look at the run and what follows from it the run stays the same."""
    run = current.take(a_claim("j"))
    current.started(4711)
    thread = threading.Thread(target=CHANGES[change], args=(current,))
    with current.lock:
        thread.start()
        thread.join(0.05)
        seen = thread.is_alive(), current.is_current(run), current.stopped_job_id, current.horse_pid
    thread.join(5)
    assert seen == (True, True, None, 4711)
    assert not thread.is_alive()


def test_the_thread_that_holds_the_lock_may_take_it_again(current: CurrentRun) -> None:
    """The handler of a second SIGTERM kills the horse, and may interrupt the main thread while that holds the lock."""
    with current.lock:
        assert current.lock.acquire(timeout=1)
        current.lock.release()
