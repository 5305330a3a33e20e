"""``notify jobs``, ``queues``, ``enqueue``, ``cancel`` and ``job``."""

from pathlib import Path

import pytest
import typer

import notify
from cli.jobs.rows import wait_for
from cli.output import Output
from notify import ServerUnreachableError
from tests.cli.conftest import Shell
from tests.support.sample_jobs import add
from workers import Job, Queue

GREETINGS = """
from workers import job

@job("greetings", needs="greeter")
def greet(name):
    return f"hello {name}"

@job("greetings")
def add(a, b):
    return a + b

@job("greetings")
def fail():
    raise ValueError("no luck")
"""


@pytest.fixture
def shop(shell: Shell) -> Shell:
    """A shell in a folder with a module of jobs."""
    (Path(shell.folder) / "greetings.py").write_text(GREETINGS)
    return shell


def _work(shop: Shell) -> None:
    done = shop.run("worker", "greetings", "--import", "greetings", "--burst", "-n", "1")
    assert done.code == 0, done.err


def test_a_job_is_enqueued_worked_off_and_waited_for(shop: Shell, bus: notify.Bus) -> None:
    done = shop.run("enqueue", "greetings.add", "1", "2")
    assert (done.code, done.err) == (0, "")
    job_id = done.out.strip()
    assert shop.run("queues").out.startswith("greetings\t1\t")
    assert shop.run("jobs", "--queue", "greetings", "--json").records[0]["status"] == "queued"
    assert "no worker listens" in shop.run("job", "explain", job_id).out
    _work(shop)
    assert shop.run("job", "wait", job_id).out == "finished\t3\n"
    (record,) = shop.run("job", "show", job_id, "--json").records
    assert {"id": job_id, "status": "finished", "args": [1, 2], "result": 3}.items() <= record.items()


def test_arguments_are_json_or_else_text(shop: Shell, bus: notify.Bus) -> None:
    job_id = shop.run("enqueue", "greetings.add", "[1]", "two", "--id", "mine").out.strip()
    assert job_id == "mine"
    assert list(Job.fetch("mine", connection=bus.redis).args) == [[1], "two"]


def test_a_job_whose_service_is_gone_is_told_to_be_cancelled(shop: Shell) -> None:
    done = shop.run("enqueue", "greetings.greet", "Ada")
    assert (done.code, done.lines[1]) == (1, "cancelled: greeter was not there when it was enqueued")
    waited = shop.run("enqueue", "greetings.greet", "Ada", "--wait", "5")
    assert waited.code == 1


def test_a_waiting_job_is_cancelled_and_tried_again(shop: Shell) -> None:
    job_id = shop.run("enqueue", "greetings.add", "1", "2").out.strip()
    assert shop.run("job", "cancel", job_id, "--reason", "not now").out == "cancelled: not now\n"
    assert shop.run("jobs", "--status", "canceled", "--json").records[0]["why"] == "not now"
    assert shop.run("job", "retry", job_id).code == 0
    _work(shop)
    assert shop.run("job", "wait", job_id, "--timeout", "5").code == 0
    assert shop.run("job", "cancel", job_id).code == 1
    assert shop.run("job", "retry", job_id).code == 1


def test_a_job_that_is_tried_again_while_its_service_is_gone_says_that_it_is_held(shop: Shell) -> None:
    job_id = shop.run("enqueue", "greetings.greet", "Ada", "--on-loss", "hold").out.strip()
    assert shop.run("job", "cancel", job_id).out == "cancelled\n"
    assert shop.run("job", "retry", job_id).out == f"{job_id} is held: greeter is not there\n"


def test_waiting_for_a_job_that_fails_fails(shop: Shell) -> None:
    job_id = shop.run("enqueue", "greetings.fail").out.strip()
    assert "has not ended in 0.1 s" in shop.run("job", "wait", job_id, "--timeout", "0.1").err
    _work(shop)
    assert shop.run("job", "wait", job_id) == (1, "failed: ValueError: no luck\n", "")


class _OutOfReach:
    """A job whose server does not answer."""

    id = "mine"

    def wait(self, timeout_s: float | None) -> None:
        raise ServerUnreachableError("no answer")


def test_an_outage_of_the_server_is_told_once_to_who_waits_for_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        wait_for(Output(as_json=False), _OutOfReach(), 1.2)  # type: ignore[arg-type]  # the part of a job that wait_for uses
    assert capsys.readouterr().err == "waiting: no answer\njob mine has not ended in 1.2 s\n"


def test_all_that_needs_a_service_is_counted_and_cancelled(shop: Shell, bus: notify.Bus) -> None:
    with bus.service("greeter"):
        for name in ("Ada", "Grace"):
            shop.run("enqueue", "greetings.greet", name)
        assert shop.run("cancel", "--needs", "greeter", "--dry-run").out == "greetings\tcancel\t2\t0\n"
        assert len(shop.run("jobs", "--needs", "greeter").lines) == 2
        elsewhere = shop.run("cancel", "--needs", "greeter", "--queue", "other")
        assert (elsewhere.code, elsewhere.out) == (1, "")
        assert "no queue 'other'" in elsewhere.err
        assert shop.run("cancel", "--needs", "greeter").out == "greetings\t2 cancelled\n"
    assert "no job needs greeter" in shop.run("cancel", "--needs", "greeter").err


def test_a_dry_run_counts_what_a_cancel_cancels(shop: Shell, bus: notify.Bus) -> None:
    with bus.service("ada", provides={"greet"}):
        shop.run("enqueue", "greetings.add", "1", "2", "--needs", "any greet")
        assert shop.run("cancel", "--needs", "ada", "--dry-run") == (0, "", "no job needs ada\n")
        assert shop.run("kill", "ada", "--dry-run").out == "greetings\tcancel\t1\t0\n"
        assert shop.run("cancel", "--needs", "any greet", "--dry-run").out == "greetings\tcancel\t1\t0\n"
        assert shop.run("cancel", "--needs", "any greet").out == "greetings\t1 cancelled\n"


def test_more_jobs_than_the_limit_are_told_of(shop: Shell) -> None:
    for _ in range(3):
        shop.run("enqueue", "greetings.add", "1", "2")
    done = shop.run("jobs", "--limit", "2")
    assert len(done.lines) == 2
    assert "there are more than 2 jobs" in done.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["enqueue"], 2),
        (["enqueue", "greetings"], 2),
        (["enqueue", "greetings.nope"], 2),
        (["enqueue", "nowhere.nope"], 2),
        (["enqueue", "greetings.add", "--on-loss", "nope", "--needs", "x"], 2),
        (["enqueue", "greetings.add", "--needs", "two words"], 2),
        (["enqueue", "greetings.add", "--queue", ""], 2),
        (["cancel", "--needs", ""], 2),
        (["cancel", "--needs", "", "--dry-run"], 2),
        (["jobs", "--status", "nope"], 2),
        (["jobs", "--needs", ""], 2),
        (["jobs", "--queue", "nope"], 1),
        (["cancel"], 2),
        (["cancel", "--needs", "any "], 2),
        (["cancel", "--needs", "greeter", "--queue", "nope"], 1),
        (["job"], 2),
        (["job", "show"], 2),
        (["job", "show", "nope"], 1),
        (["job", "show", "no such id"], 1),
        (["job", "explain", "nope"], 1),
        (["job", "cancel", "nope"], 1),
        (["job", "retry", "nope"], 1),
        (["job", "wait", "nope"], 1),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_enqueued(shop: Shell, bus: notify.Bus, arguments: list[str], code: int) -> None:
    done = shop.run(*arguments)
    assert (done.code, done.out if code == 1 else "") == (code, "")
    assert "Traceback" not in done.err
    assert not bus.redis.keys("rq:job:*")


def test_stuck_jobs_are_listed_with_what_they_wait_for_in_vain(shell: Shell, bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    parent, free = queue.enqueue(add), queue.enqueue(add)
    stuck = queue.enqueue(add, depends_on=parent)
    queue.enqueue(add, depends_on=free)
    parent.cancel()
    (row,) = shell.run("jobs", "--stuck", "--json").records
    assert (row["id"], row["status"], row["why"]) == (stuck.id, "deferred", f"job {parent.id}, on which it depends, was cancelled")
