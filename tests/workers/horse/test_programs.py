"""The programs that a job has started end also when its worker is killed, whatever becomes of the job."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NoReturn

import pytest

from notify.testing import wait_until
from tests.support.sample_jobs import leave_programs
from tests.workers.conftest import ROOT, Effects, StartWorkers, is_alive
from workers import Queue
from workers.horse import Inbox
from workers.horse.channel import Reply

pytestmark = pytest.mark.any_server

OWNER = """
import os, sys, threading
from tests.workers.horse.test_programs import start_programs
from workers.horse import serving
from workers.horse.channel import Task
from workers.horse.horse import Horse

if sys.argv[1] == "twin":
    serving.os.killpg = os.kill
horse = Horse(start_programs)
horse.give(Task("j", "f", "work", {}))
print(horse.pid, horse.wait(10).problem, flush=True)
threading.Event().wait(60)
"""
"""A worker, as far as its horse is concerned. The twin's fork server kills the horse alone."""


def start_programs(inbox: Inbox) -> NoReturn:
    """Main function of a horse: start a program that lasts, and one that leaves another behind."""
    inbox.take(60, lambda: None)
    first = subprocess.Popen(["sleep", "1000"])
    left = subprocess.run(["sh", "-c", "sleep 1000 >&- 2>&- & echo $!"], stdout=subprocess.PIPE, check=True).stdout
    inbox.reply(Reply(problem=f"{first.pid} {int(left)}"))
    while True:
        inbox.take(60, lambda: None)


@pytest.fixture(params=["protected", "twin"])
def owner(request: pytest.FixtureRequest) -> Iterator[tuple[bool, subprocess.Popen[str], list[int]]]:
    """Whether it is the protected one, the process, and the process ids of its horse and of the programs."""
    command = [sys.executable, "-c", OWNER, request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        yield request.param == "protected", process, pids
        process.kill()
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_programs_end_with_the_process_that_was_to_run_the_job(owner: tuple[bool, subprocess.Popen[str], list[int]]) -> None:
    is_protected, process, (horse, *programs) = owner
    assert all(map(is_alive, programs))
    process.kill()
    wait_until(lambda: not is_alive(horse), timeout_s=5)
    if is_protected:
        wait_until(lambda: not any(map(is_alive, programs)), timeout_s=1, what=f"the end of the programs {programs}")
    else:
        assert all(map(is_alive, programs))


@pytest.mark.parametrize("per_process", [1, 2])
def test_the_programs_of_a_job_end_with_its_worker(queue: Queue, start_workers: StartWorkers, effects: Effects, per_process: int) -> None:
    (worker,) = start_workers(per_process, per_process=per_process).processes
    queue.enqueue(leave_programs, "x")
    effects.wait_for("x:begun")
    programs = [effects["x:child"], effects["x:grandchild"]]
    assert all(map(is_alive, programs))
    worker.kill()
    wait_until(lambda: not any(map(is_alive, programs)), timeout_s=2, what=f"the end of the programs {programs}")
