"""The horse: one process for many jobs, and a new one when it is gone."""

import os
import signal
import subprocess
from functools import partial
from typing import Any, NoReturn

import pytest

from notify.testing import wait_until
from tests.support.sample_jobs import add, fail, fork_away, hold, kill_yourself, later, leave_programs, tick, where
from tests.workers.conftest import Effects, StartWorkers, is_alive, result
from workers import Outcome, Queue
from workers.horse import Inbox
from workers.horse.channel import Reply, Task
from workers.horse.horse import Horse
from workers.horse.serving import Death

pytestmark = pytest.mark.any_server


def test_many_jobs_run_in_one_process_in_a_group_of_its_own(queue: Queue, start_workers: StartWorkers) -> None:
    (worker,) = start_workers().processes
    places = [result(queue.enqueue(job)) for job in (where, where, later, where)]
    (pid, group) = places[0]
    assert places == [[pid, pid]] * 4
    assert group == pid != worker.pid


@pytest.mark.parametrize("ending", ["fails", "crashes", "is stopped", "takes too long"])
def test_a_process_is_replaced_only_if_it_was_interrupted(queue: Queue, start_workers: StartWorkers, effects: Effects, ending: str) -> None:
    start_workers()
    before, _ = result(queue.enqueue(where))
    if ending == "is stopped":
        stopped = queue.enqueue(tick, "x")
        effects.wait_for("x:begun")
        stopped.cancel()
    elif ending == "takes too long":
        assert queue.enqueue(hold, "x", job_timeout=1).wait(10).status == "failed"
    else:
        queue.enqueue({"fails": fail, "crashes": kill_yourself}[ending]).wait(10)
    after, _ = result(queue.enqueue(where))
    assert (after == before, is_alive(before)) == ((True, True) if ending == "fails" else (False, False))


def test_the_death_of_a_process_is_noticed_although_its_child_holds_its_files(
    queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    start_workers()
    running = queue.enqueue(fork_away, "x")
    effects.wait_for("x:begun")
    os.kill(effects["x:pid"], signal.SIGKILL)
    assert running.wait(5).status == "failed"
    assert queue.enqueue(add).wait(5) == Outcome("finished")
    os.kill(effects["x:away"], signal.SIGKILL)


@pytest.mark.parametrize("ending", ["takes too long", "is stopped", "is killed"])
def test_the_programs_of_a_job_end_with_it(queue: Queue, start_workers: StartWorkers, effects: Effects, ending: str) -> None:
    start_workers()
    running = queue.enqueue(leave_programs, "x", job_timeout=1 if ending == "takes too long" else 30)
    effects.wait_for("x:begun")
    programs = [effects["x:child"], effects["x:grandchild"]]
    assert all(map(is_alive, programs))
    if ending == "is stopped":
        running.cancel()
    elif ending == "is killed":
        os.kill(effects["x:pid"], signal.SIGKILL)
    assert running.wait(10).status == ("stopped" if ending == "is stopped" else "failed")
    wait_until(lambda: not any(map(is_alive, programs)), timeout_s=1, what=f"the end of the programs {programs}")
    assert queue.enqueue(add).wait(10) == Outcome("finished")


def start_a_program(inbox: Inbox, *, ends_programs: bool) -> NoReturn:
    """Main function of a horse: start a program, and reply with its process id as a job of which the timeout is over."""
    inbox.take(60, lambda: None)
    program = subprocess.Popen(["sleep", "1000"])
    inbox.reply(Reply(problem=str(program.pid), retires=True, ends_programs=ends_programs))
    os._exit(0)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: pytest may have threads
@pytest.mark.parametrize("ends_programs", [True, False], ids=["protected", "twin"])
def test_a_program_goes_on_if_it_is_not_ended_with_the_process(ends_programs: bool) -> None:
    horse = Horse(partial(start_a_program, ends_programs=ends_programs))
    try:
        horse.give(Task("j", "f", "work", {}))
        end = horse.wait(10)
        assert isinstance(end, Reply)
        program = int(end.problem)
        if ends_programs:
            wait_until(lambda: not is_alive(program), timeout_s=1)
        else:
            assert is_alive(program)
            os.kill(program, signal.SIGKILL)
    finally:
        horse.close()


def reply_at_once(inbox: Inbox) -> NoReturn:
    """Main function of a horse: reply to each task at once."""
    while True:
        inbox.take(60, lambda: None)
        inbox.reply(Reply())


class CarelessHorse(Horse):
    """Gives the next task to whatever process does not show its death yet."""

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        super().kill(signum)
        self.is_doomed = False


class _Slow:
    """A poll that does not see the death of a process at once, as on a busy machine."""

    def __init__(self, poll: Any) -> None:
        self._poll = poll

    def poll(self, timeout_ms: int) -> Any:
        return self._poll.poll(timeout_ms) if timeout_ms else []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poll, name)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: pytest may have threads
@pytest.mark.parametrize("kind", [Horse, CarelessHorse], ids=["protected", "twin"])
def test_a_signal_for_a_task_that_has_just_ended_does_not_hit_the_next_one(kind: type[Horse]) -> None:
    """The worker is told to stop a run between the reply of its process and the moment that the worker reads the reply."""
    horse = kind(reply_at_once)
    try:
        horse.give(Task("first", "f", "work", {}))
        horse._poll = _Slow(horse._poll)  # type: ignore[assignment]  # the class of C has no subclasses
        first = horse.wait(10)
        horse.kill()
        if kind is CarelessHorse:
            horse._channel.send = lambda task: None  # type: ignore[union-attr,method-assign]  # it went into the buffer of a dying process
        horse.give(Task("second", "f", "work", {}))
        second = horse.wait(10)
        assert isinstance(first, Reply)
        assert isinstance(second, Reply if kind is Horse else Death)
    finally:
        horse.close()
