"""What a job does to its process does not reach the next job, nor the record of its own end."""

import subprocess
import sys

import pytest
from rq import Callback

from tests.support.odd_jobs import CHANGES, change, draw, look, split
from tests.support.sample_jobs import count_success
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, result
from workers import Outcome, Queue, RetireAfter

pytestmark = pytest.mark.any_server

MODULES = (SAMPLE, "tests.support.odd_jobs")
REPLACED = ("a closed stdout", "a priority")
"""Changes that cannot be restored: the process is replaced."""


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_process_does_not_reach_the_next_job(queue: Queue, start_workers: StartWorkers, what: str) -> None:
    start_workers(modules=MODULES)
    before = result(queue.enqueue(look))
    left_by = queue.enqueue(change, what)
    after, second = queue.enqueue(look), queue.enqueue(change, "nothing")
    assert left_by.wait(10) == Outcome("finished")
    assert result(after) == before
    assert (result(left_by) == result(second)) is (what not in REPLACED)


TWIN = """
import os, socket, sys
from workers.horse import Bell, Board, Channel, Inbox, ProcessState, Reply, RetireAfter, Task, Tokens, run_jobs

class Lax(ProcessState):
    def restore(self):
        return True

def perform(task):
    found = f"{os.environ.get('LEFT')} {oct(os.umask(0o22))}"
    os.environ["LEFT"] = "left"
    os.umask(0o777)
    return Reply(problem=found)

os.umask(0o22)
ours, theirs = map(Channel, socket.socketpair())
tokens, bell = Tokens(), Bell()
tokens.open()
bell.open()
if os.fork() == 0:
    ours.close()
    run_jobs(Inbox(theirs, tokens, bell, Board()), perform, state={"lax": Lax, "strict": ProcessState}[sys.argv[1]](), retire=RetireAfter())
for number in range(2):
    ours.send(Task(str(number), "fence", "work", {}, number=number))
    tokens.give(number)
    print(ours.take(Reply).problem)
"""


@pytest.mark.parametrize(("state", "second"), [("strict", "None 0o22"), ("lax", "left 0o777")])
def test_the_twin_that_restores_nothing_lets_changes_reach_the_next_job(state: str, second: str) -> None:
    done = subprocess.run([sys.executable, "-c", TWIN, state], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["None 0o22", second]


def test_each_job_draws_random_numbers_of_its_own_after_a_job_that_seeds(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(modules=MODULES)
    draws = []
    for _ in range(2):
        queue.enqueue(change, "a seed")
        draws.append(result(queue.enqueue(draw)))
    assert draws[0] != draws[1]


@pytest.mark.parametrize("with_callback", [False, True])
@pytest.mark.parametrize(("child", "status"), [("returns", 0), ("raises", 1), ("exits", 1)])
def test_the_child_of_a_fork_in_a_job_never_speaks_for_the_job(
    queue: Queue, start_workers: StartWorkers, effects: Effects, child: str, status: int, with_callback: bool
) -> None:
    start_workers(modules=MODULES)
    callback = {"on_success": Callback(count_success)} if with_callback else {}
    job = queue.enqueue(split, child, **callback)
    assert result(job) == "the parent"
    assert effects["split:status"] == status
    assert queue.enqueue(look).wait(10) == Outcome("finished")


def test_a_process_for_each_job_is_restored_by_being_replaced(queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(modules=MODULES, retire=RetireAfter(jobs=1))
    before = result(queue.enqueue(look))
    queue.enqueue(change, "another umask")
    assert result(queue.enqueue(look)) == before
