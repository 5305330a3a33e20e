"""``notify job retry|cancel|delete --all``: many jobs at once, after a count."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import notify
from cli.app import app
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.commands import NOTIFY
from tests.support.sample_jobs import add, add_with_svc, fail
from workers import Job, Queue, find_jobs, rq_keys


@pytest.fixture
def notify_job(server: PrivateServer, _signals: None) -> Any:
    """Runs ``notify job`` in this process, without a terminal."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["job", "--url", server.url, *arguments])

    return run


def put(bus: notify.Bus, count: int, *, status: str = "failed", queue: str = "work", function: Any = add) -> list[str]:
    """Jobs that ended so, or wait if the status is ``queued``."""
    jobs = Queue(queue, connection=bus.redis).enqueue_many([Queue.prepare_data(function) for _ in range(count)])
    registry = {"failed": rq_keys.failed, "stopped": rq_keys.failed, "finished": rq_keys.finished, "canceled": rq_keys.canceled}
    if status != "queued":
        with bus.redis.pipeline() as pipe:
            pipe.delete(rq_keys.queue(queue))
            for job in jobs:
                pipe.hset(job.key, "status", status)
                pipe.expire(job.key, 600)
                pipe.zadd(registry[status](queue), {job.id: 10**10})
            pipe.execute()
    return [job.id for job in jobs]


def statuses(bus: notify.Bus) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in find_jobs(bus.redis):
        status = str(job.get_status(refresh=False).value)
        found[status] = found.get(status, 0) + 1
    return found


def test_failed_jobs_are_retried_in_batches_and_counted(notify_job: Any, bus: notify.Bus) -> None:
    put(bus, 450)
    put(bus, 3, status="finished", queue="other")
    done = notify_job("retry", "--all", "--yes")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "retried 450 jobs\n", "")
    assert statuses(bus) == {"queued": 450, "finished": 3}
    done = notify_job("retry", "--all", "--yes")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "no job matches\n")
    Queue("work", connection=bus.redis).empty()


def test_without_a_terminal_nothing_is_changed_unless_yes_is_given(notify_job: Any, bus: notify.Bus) -> None:
    put(bus, 2)
    put(bus, 1, queue="mail")
    done = notify_job("retry", "--all")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "retry 3 jobs (1 failed on mail, 2 failed on work)? There is no" in re.sub(r"[│\s]+", " ", done.stderr)
    assert statuses(bus) == {"failed": 3}


def test_a_dry_run_counts_by_queue_and_status(notify_job: Any, bus: notify.Bus) -> None:
    put(bus, 2)
    put(bus, 4, status="finished", queue="mail")
    done = notify_job("delete", "--all", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "mail\tfinished\t4\nwork\tfailed\t2\n")
    assert statuses(bus) == {"failed": 2, "finished": 4}


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, {"queued": 2}), ("n\n", 1, {"failed": 2}), ("\n", 1, {"failed": 2})])
def test_on_a_terminal_the_command_counts_and_asks(
    shell: Shell, bus: notify.Bus, tmp_path: Path, answer: str, code: int, left: dict[str, int]
) -> None:
    put(bus, 2)
    (tmp_path / "answer").write_text(answer)
    script = f'script -qec "{" ".join(NOTIFY)} job retry --all" /dev/null < {tmp_path / "answer"}'
    done = shell.start_program("bash", "-c", script).end(timeout_s=30)
    assert "retry 2 jobs (2 failed on work)? [y/N]" in done.out
    assert (done.code, statuses(bus)) == (code, left)


@pytest.mark.parametrize(
    ("arguments", "retried"),
    [
        (("--queue", "mail"), 1),
        (("--function", "fail"), 2),
        (("--function", "*.add"), 3),
        (("--status", "stopped"), 1),
        (("--status", "cancelled"), 0),
        (("--since", "1h"), 5),
        (("--since", "2040-01-01"), 0),
        (("--needs", "svc"), 0),
    ],
)
def test_the_filters_select_as_they_do_for_a_list(notify_job: Any, bus: notify.Bus, arguments: tuple[str, ...], retried: int) -> None:
    put(bus, 2)
    put(bus, 2, function=fail)
    put(bus, 1, queue="mail")
    put(bus, 1, status="stopped", queue="third")
    assert notify_job("retry", "--all", "--yes", *arguments).exit_code == 0
    assert statuses(bus).get("queued", 0) == retried


def test_a_retry_says_which_jobs_are_held_or_cancelled_again(notify_job: Any, bus: notify.Bus) -> None:
    with bus.service("svc"):
        ids = put(bus, 5, function=add_with_svc)
    for job_id in ids[:2]:
        bus.redis.hset(rq_keys.job(job_id), "on_loss", "hold")
    done = notify_job("retry", "--all", "--yes")
    there_not = "a service that they need is not there"
    assert done.stdout == f"retried 5 jobs; 2 of them are held: {there_not}; 3 of them are cancelled again: {there_not}\n"


def test_waiting_jobs_are_cancelled_and_their_list_is_tidied(notify_job: Any, bus: notify.Bus) -> None:
    put(bus, 450, status="queued")
    put(bus, 2, status="queued", function=fail)
    done = notify_job("cancel", "--all", "--function", "add", "--reason", "not now", "--yes", "--json")
    assert done.stdout == '{"change":"cancel","of":450,"done":450,"held":0,"cancelled":0,"awaited":0,"unchanged":0}\n'
    queue = Queue("work", connection=bus.redis)
    assert (len(queue.job_ids), statuses(bus)) == (2, {"queued": 2, "canceled": 450})
    (one, *_) = find_jobs(bus.redis, status="canceled")
    assert one.outcome is not None
    assert one.outcome.reason == "not now"
    queue.empty()


def test_jobs_are_deleted_but_not_those_that_others_wait_for(notify_job: Any, bus: notify.Bus) -> None:
    ids = put(bus, 3)
    dependent = Queue("work", connection=bus.redis).enqueue(add, depends_on=Job.fetch(ids[0], connection=bus.redis))
    done = notify_job("delete", "--all", "--yes")
    assert done.stdout == "deleted 2 jobs; 1 stay, because other jobs wait for them\n"
    assert statuses(bus) == {"failed": 1, "deferred": 1}
    assert "other jobs wait for it" in notify_job("delete", ids[0]).stderr
    assert "has not ended" in notify_job("delete", dependent.id).stderr
    dependent.cancel()
    assert notify_job("delete", ids[0]).stdout == f"{ids[0]} deleted\n"


def test_ctrl_c_in_the_middle_says_how_many_were_done(shell: Shell, bus: notify.Bus, server: PrivateServer) -> None:
    put(bus, 3_000)
    command = shell.start("job", "delete", "--all", "--yes")
    with bus.subscribe("job.work") as events:
        assert events.get(20) is not None  # the first batch was deleted
        command.signal(signal.SIGINT)
    done = command.end()
    left = statuses(bus).get("failed", 0)
    assert done.code == 130
    assert f"interrupted: {3_000 - left:,} of 3,000 jobs deleted" in done.err
    assert done.out == f"deleted {3_000 - left:,} jobs\n"
    assert 0 < left < 3_000
    Queue("work", connection=bus.redis).delete()


@pytest.mark.parametrize("command", ["retry", "cancel", "delete"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give the id of a job, or --all"),
        (["j", "--all"], "not both"),
        (["j", "--queue", "work"], "add --all"),
        (["--queue", "work"], "add --all"),
        (["--yes"], "add --all"),
        (["--all", "--since", "yesterday"], "is no time"),
        (["--all", "--status", "nope"], "choose one of queued"),
        (["--all", "--status", "", "--yes"], "choose one of queued"),
        (["--all", "--needs", "two words"], "two words"),
        (["--all", "--function", ""], "function is empty"),
    ],
)
def test_wrong_arguments_are_told_and_nothing_is_changed(
    notify_job: Any, bus: notify.Bus, command: str, arguments: list[str], said: str
) -> None:
    put(bus, 1)
    done = notify_job(command, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in re.sub(r"[│\s]+", " ", done.stderr)
    assert statuses(bus) == {"failed": 1}


@pytest.mark.parametrize(("command", "status"), [("retry", "queued"), ("cancel", "finished"), ("delete", "started")])
def test_a_status_that_does_not_fit_the_change_is_refused(notify_job: Any, bus: notify.Bus, command: str, status: str) -> None:
    put(bus, 1)
    done = notify_job(command, "--all", "--status", status, "--yes")
    assert (done.exit_code, statuses(bus)) == (2, {"failed": 1})
    assert f"a job that is {status} cannot be" in re.sub(r"[│\s]+", " ", done.stderr)
