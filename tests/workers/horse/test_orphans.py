"""Orphans of jobs do not stay zombies, also where the worker is process 1 as in a container, and nobody's children are stolen."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from notify.testing import PrivateServer, wait_until
from tests.support.orphan_jobs import kill_the_worker, leave_orphans, remaining, zombies
from tests.workers.conftest import ROOT, Effects, result
from workers import Queue

pytestmark = pytest.mark.any_server

CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
JOBS = "tests.support.orphan_jobs"
COMMAND = ["worker", "work", "--number", "1", "--import", JOBS]
NAIVE = "import workers.horse.serving as one, workers.pool.serving as two; one.adopt_orphans = two.adopt_orphans = lambda: None; "
IN_PYTHON = f"import notify, os; from workers import Worker; Worker(['work'], connection=notify.connect().redis, modules=['{JOBS}']).work()"
OWN = """
import os, pathlib, subprocess, sys, workers.horse.orphans as orphans
if sys.argv[1] == "unlisted":
    orphans.PROC = pathlib.Path("/nowhere")
own, other = subprocess.Popen(["sh", "-c", "exit 7"]), subprocess.Popen(["true"])
for child in (own, other):
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
first, second = (own, other) if sys.argv[2] == "first" else (other, own)
orphans.reap_orphans({first.pid})
try:
    os.waitid(os.P_PID, second.pid, os.WEXITED | os.WNOWAIT)
    print("left")
except ChildProcessError:
    print("reaped")
print(first.wait())
"""


def _has_namespaces() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0


namespaces = pytest.mark.skipif(not _has_namespaces(), reason="this system makes no pid namespaces for its users")
Start = Callable[..., None]


@pytest.fixture
def contain(server: PrivateServer) -> Iterator[Start]:
    """Run Python as process 1 of a pid namespace, which ends with the test."""
    started = []

    def start(*arguments: str) -> None:
        environ = {**os.environ, "NOTIFY_URL": server.url, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen([*CONTAINER, sys.executable, *arguments], env=environ, cwd=ROOT))

    yield start
    for process in started:
        process.kill()
        process.wait()


def has_process_1(queue: Queue) -> bool:
    """Whether process 1 of the worker is the worker itself, or the command that runs it."""
    return result(queue.enqueue(zombies))[0].startswith((sys.executable, "notify", "rq:worker"))  # type: ignore[no-any-return]  # as the job


@namespaces
@pytest.mark.parametrize("arguments", [("-m", "cli", *COMMAND), ("-c", IN_PYTHON)], ids=["notify worker", "Worker.work"])
def test_orphans_of_a_worker_that_is_process_1_are_reaped_within_a_second(
    queue: Queue, contain: Start, arguments: tuple[str, ...], record_property: Any
) -> None:
    contain(*arguments)
    orphans = result(queue.enqueue(leave_orphans, 5))
    began = time.monotonic()
    assert len(orphans) == 5
    wait_until(lambda: result(queue.enqueue(remaining, orphans)) == [], timeout_s=1.2, what="their end, and that of the zombies")
    record_property("took_s", round(time.monotonic() - began, 2))
    assert has_process_1(queue)


@namespaces
def test_programs_of_a_job_whose_worker_was_killed_are_reaped_as_well(queue: Queue, contain: Start, effects: Effects) -> None:
    contain("-m", "cli", *COMMAND)
    queue.enqueue(kill_the_worker)
    program = effects.wait_for("program")
    wait_until(lambda: result(queue.enqueue(remaining, [program])) == [], timeout_s=15, what="the end of the program, after a second")


@namespaces
def test_the_twin_that_adopts_nobody_leaves_zombies_to_process_1(queue: Queue, contain: Start) -> None:
    contain("-c", NAIVE + IN_PYTHON)
    orphans = result(queue.enqueue(leave_orphans, 5))
    wait_until(lambda: result(queue.enqueue(zombies))[1:] == ["sleep"] * 5, timeout_s=5, what="five zombies")
    assert result(queue.enqueue(remaining, orphans)) == orphans


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
@pytest.mark.parametrize(("how", "which", "left"), [("listed", "first", 7), ("listed", "second", 0), ("unlisted", "second", 0)])
def test_own_children_are_not_stolen(how: str, which: str, left: int) -> None:
    ran = subprocess.run([sys.executable, "-c", OWN, how, which], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.split() == ["reaped", str(left)]
