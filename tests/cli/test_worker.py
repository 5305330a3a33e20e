"""``notify worker``: worker processes, and how they end."""

import os
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.support.commands import Command
from workers import Job, Queue, find_workers
from workers.pool import CUT
from workers.storage import NAME, Store, store

JOBS = '''
import os, time
from workers import job

@job("yard")
def greet(name):
    print("hello", name)

@job("yard")
def loaded():
    import sys
    return sorted(sys.modules)

@job("yard")
def hold(folder):
    """A job that reports its start and ends when it is allowed to."""
    open(folder + "/begun", "w").close()
    while not os.path.exists(folder + "/may-end"):
        time.sleep(0.01)  # until it may end
'''


NEVER_LOADED: Final = {"cli", "typer", "click", "rich", "pydantic", "pydantic_core", "croniter", "unittest"}
"""Packages that no process of a worker has a use for."""


MOST_KIB: Final = 74 * 1024
"""A bound with room for other versions of Python and of the libraries: it was 64 MiB with OpenTelemetry installed, which redis-py then
imports, 60 without, and 20 more while the command was the parent."""


def own_kib(pid: int) -> int:
    """The memory of a process without that of files; of a page that several processes share, its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")), 0)  # an old kernel does not say it


@pytest.fixture
def yard(shell: Shell, bus: notify.Bus) -> Queue:
    """A queue for the jobs of a module in the folder of the shell."""
    (shell.folder / "yard_jobs.py").write_text(JOBS)
    return Queue("yard", connection=bus.redis)


def enqueue(queue: Queue, name: str, *arguments: object) -> Job:
    return queue.enqueue(f"yard_jobs.{name}", *arguments)


def at_work(shell: Shell, queue: Queue) -> tuple[Command, Job]:
    """A worker that is running a job."""
    job = enqueue(queue, "hold", str(shell.folder))
    worker = shell.start("worker", "yard", "--import", "yard_jobs", "--number", "1")
    wait_until((shell.folder / "begun").exists, timeout_s=20)
    return worker, job


def test_a_burst_empties_the_queues_and_ends(shell: Shell, bus: notify.Bus) -> None:
    queue = Queue("storage", connection=bus.redis)
    with bus.service(NAME, provides={"store"}):
        jobs = [queue.enqueue(store, f"key {n}", n) for n in range(3)]
        done = shell.run("worker", "--burst", "--number", "2")
        assert (done.code, done.out) == (0, "")
        assert done.err.startswith("2 workers on temperature, storage at unix://")
        assert [Store(bus).retrieve(f"key {n}") for n in range(3)] == [0, 1, 2]
    assert [job.get_status(refresh=True) for job in jobs] == ["finished"] * 3
    assert queue.count == 0


@pytest.mark.parametrize(("options", "processes"), [((), 1), (("--isolated-parents",), 3)])
def test_workers_share_a_process_unless_each_is_to_have_its_own(
    shell: Shell, bus: notify.Bus, yard: Queue, options: tuple[str, ...], processes: int
) -> None:
    worker = shell.start("worker", "yard", "--import", "yard_jobs", "--number", "3", *options)
    found = wait_until(lambda: len(listed := find_workers(bus.redis)) == 3 and listed, timeout_s=20)
    assert len({each.pid for each in found}) == processes
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0
    assert find_workers(bus.redis) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_worker_is_four_processes_and_the_command_has_become_their_parent(shell: Shell, yard: Queue) -> None:
    """The parent, the worker, the fork server of the horse, and the horse: each further one would cost megabytes."""
    worker, _ = at_work(shell, yard)
    (parent, *others) = sorted(shell.processes)
    assert (parent, len(others)) == (worker.pid, 3)
    assert sum(map(own_kib, shell.processes)) < MOST_KIB
    assert " workers.pool " in shell.processes[parent]
    (shell.folder / "may-end").touch()
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0


def test_neither_worker_nor_horse_has_loaded_what_only_a_command_line_needs(shell: Shell, yard: Queue) -> None:
    """What the horse has loaded, its forebears have: the worker, the fork servers, and the parent."""
    job = enqueue(yard, "loaded")
    worker = shell.start("worker", "yard", "--import", "yard_jobs", "--number", "1")
    assert job.wait(20) is not None
    assert not NEVER_LOADED & {name.partition(".")[0] for name in job.return_value()}
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0


def test_it_imports_a_module_of_the_current_folder(shell: Shell, yard: Queue) -> None:
    enqueue(yard, "greet", "Ada")
    done = shell.run("worker", "yard", "--import", "yard_jobs", "--burst", "--number", "1")
    assert (done.code, done.out) == (0, "hello Ada\n")
    assert done.err.startswith("1 worker on yard at ")


def test_a_module_that_was_not_named_is_not_run(shell: Shell, yard: Queue) -> None:
    job = enqueue(yard, "greet", "Ada")
    done = shell.run("worker", "yard", "--burst", "--number", "1")
    assert (done.code, done.out) == (0, "")
    assert job.get_status(refresh=True) == "failed"


@pytest.mark.parametrize("source", ["", "raise SystemExit(3)"])
def test_a_module_that_cannot_be_used_is_named(shell: Shell, source: str) -> None:
    (shell.folder / "broken_jobs.py").write_text(source)
    done = shell.run("worker", "--import", "broken_jobs")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "'broken_jobs'" in done.err


def test_a_queue_has_a_name(shell: Shell) -> None:
    done = shell.run("worker", "", "--burst")
    assert (done.code, done.out) == (2, "")
    assert "queue" in done.err


def test_verbose_logs_every_job_on_stderr(shell: Shell, yard: Queue) -> None:
    job = enqueue(yard, "greet", "Ada")
    done = shell.run("worker", "yard", "--import", "yard_jobs", "--burst", "-n", "1", "-v")
    assert done.out == "hello Ada\n"
    assert job.id in done.err


def test_idle_workers_end_at_ctrl_c(shell: Shell, bus: notify.Bus) -> None:
    worker = shell.start("worker", "--number", "2")
    wait_until(lambda: bus.redis.scard("rq:workers") == 2, timeout_s=20)
    worker.interrupt()
    done = worker.end()
    assert (done.code, done.out, done.err.count("\n")) == (130, "", 1)
    assert not bus.redis.scard("rq:workers")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_one_that_is_asked_to_stop_finishes_the_job_in_hand(shell: Shell, yard: Queue, signum: signal.Signals, code: int) -> None:
    worker, job = at_work(shell, yard)
    late = enqueue(yard, "greet", "Ada")
    worker.signal(signum)
    wait_until(lambda: yard.connection.hgetall(f"rq:worker:{worker_name(yard)}").get(b"shutdown_requested_date"), timeout_s=10)
    assert job.get_status(refresh=True) == "started"
    (shell.folder / "may-end").touch()
    done = worker.end()
    assert (done.code, done.out) == (code, "")
    assert "Traceback" not in done.err
    assert job.get_status(refresh=True) == "finished"
    assert late.get_status(refresh=True) == "queued"


def test_a_second_ctrl_c_ends_the_job_in_hand_too(shell: Shell, yard: Queue) -> None:
    worker, job = at_work(shell, yard)
    worker.interrupt()
    wait_until(lambda: yard.connection.hgetall(f"rq:worker:{worker_name(yard)}").get(b"shutdown_requested_date"), timeout_s=10)
    worker.interrupt()
    done = worker.end(timeout_s=8)
    assert done.code == CUT
    assert "ended 1 job" in done.err
    assert "Traceback" not in done.err
    assert not shell.processes
    assert "was ended before the job was done" in job.outcome.reason


def test_a_worker_that_is_told_twice_to_end_goes_on_and_at_sigquit_fails_its_job(shell: Shell, yard: Queue) -> None:
    """A service manager and the pool may both tell it to end; SIGQUIT ends it at once."""
    worker, job = at_work(shell, yard)
    name = worker_name(yard)
    pid = int(yard.connection.hget(f"rq:worker:{name}", "pid") or 0)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: yard.connection.hget(f"rq:worker:{name}", "shutdown_requested_date"), timeout_s=10)
    assert job.get_status(refresh=True) == "started"
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: job.get_status(refresh=True) == "failed")
    assert job.outcome is not None
    assert job.outcome.reason == f"its worker {name} was ended before the job was done"
    assert not yard.connection.zcard("rq:wip:yard")
    assert worker.end(timeout_s=8).code == CUT


def test_workers_do_not_outlive_a_command_that_was_killed(shell: Shell, yard: Queue) -> None:
    worker, _ = at_work(shell, yard)
    worker.signal(signal.SIGKILL)
    (shell.folder / "may-end").touch()
    assert worker.end().code == -signal.SIGKILL
    wait_until(lambda: not shell.processes, timeout_s=10)


def worker_name(queue: Queue) -> str:
    (key,) = queue.connection.smembers("rq:workers")
    return str(key.decode().removeprefix("rq:worker:"))
