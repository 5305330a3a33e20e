"""``notify workers``: what each worker does, and the end of one of them."""

import os
import signal

import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell
from tests.cli.test_worker import at_work, enqueue, worker_name, yard
from workers import Queue

__all__ = ["yard"]  # the fixture

pytestmark = pytest.mark.any_server


def test_it_lists_what_each_worker_does(shell: Shell, yard: Queue) -> None:
    worker, job = at_work(shell, yard)
    name = worker_name(yard)
    wait_until(lambda: yard.connection.hget(f"rq:worker:{name}", "memory_kib"), timeout_s=10)
    (row,) = shell.run("--json", "workers").records
    assert (row["name"], row["state"], row["function"], row["job"]) == (name, "busy", "yard_jobs.hold", job.id)
    assert (row["queues"], row["done"], row["failed"]) == (["yard"], 0, 0)
    assert 10_000 < row["memory_kib"] < 1_000_000
    assert row["since"]
    assert row["host"]
    (line,) = shell.run("workers").lines
    assert shell.run("workers", "--header").lines[0].split("\t")[:2] == ["name", "state"]
    assert {name, "busy", "yard_jobs.hold"} <= set(line.split("\t"))
    assert "MiB" in line
    (shell.folder / "may-end").touch()
    worker.signal(signal.SIGTERM)
    assert worker.end().code == 0
    assert shell.run("--json", "workers").out == ""


def test_a_worker_that_is_stopped_finishes_its_job_and_is_not_started_again(shell: Shell, yard: Queue) -> None:
    worker, job = at_work(shell, yard)
    stopping = shell.start("workers", "stop", worker_name(yard)[:8])
    stopping.said("when yard_jobs.hold")
    again = shell.run("workers", "stop", worker_name(yard), "--no-wait")  # told twice, RQ's worker would kill the job
    assert (again.code, job.get_status(refresh=True)) == (0, "started")
    late = enqueue(yard, "greet", "Ada")
    (shell.folder / "may-end").touch()
    assert stopping.end().out.endswith("has ended\n")
    done = worker.end()
    assert done.code == 0
    assert "was told to end, and is not started again" in done.err
    assert job.get_status(refresh=True) == "finished"
    assert late.get_status(refresh=True) == "queued"


def test_one_that_is_killed_while_it_is_waited_for_is_told(shell: Shell, yard: Queue, bus: notify.Bus) -> None:
    worker, _ = at_work(shell, yard)
    name = worker_name(yard)
    stopping = shell.start("workers", "stop", name)
    stopping.said("when yard_jobs.hold")
    pid = int((bus.redis.hget(f"rq:worker:{name}", "pid") or b"0").decode())
    worker.signal(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    worker.end()
    assert "is lost" in stopping.end().out


@pytest.mark.parametrize("name", ["nobody", ""])
def test_an_unknown_worker_is_an_error_in_words(shell: Shell, name: str) -> None:
    done = shell.run("workers", "stop", name)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"no worker is called {name!r}" in done.err
