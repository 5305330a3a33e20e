"""``notify job show``."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rq import Retry
from typer.testing import CliRunner

import notify
from cli.app import app
from cli.jobs.traceback import fold_frames
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.sample_jobs import add, fail
from workers import Queue

GREETINGS = """
from workers import job

@job("greetings")
def fail():
    helper()

def helper():
    raise ValueError("no luck")
"""


@pytest.fixture
def show(server: PrivateServer, _signals: None) -> Any:
    """Runs ``notify job show`` in this process, and returns the lines as a table from label to text."""

    def run(job_id: str, *arguments: str) -> dict[str, str]:
        done = CliRunner().invoke(app, ["job", "show", "--url", server.url, job_id, *arguments])
        assert done.exit_code == 0, done.output
        return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)

    return run


def test_a_job_that_failed_shows_the_frames_of_the_user_and_leaves_out_the_others(shell: Shell) -> None:
    (Path(shell.folder) / "greetings.py").write_text(GREETINGS)
    job_id = shell.run("enqueue", "greetings.fail").out.strip()
    assert shell.run("worker", "greetings", "--import", "greetings", "--burst", "-n", "1").code == 0
    shown = shell.run("job", "show", job_id).out
    head, _, traceback = shown.partition("\n\n")
    assert "status\tfailed\n" in head
    assert "why\tValueError: no luck\n" in head
    first, frame, code, *_, error, folded = traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert frame.endswith('greetings.py", line 6, in fail')
    assert code == "    helper()"
    assert error == "ValueError: no luck"
    assert folded.endswith("of the worker left out: --full shows them)")
    assert "rq" not in traceback
    full = shell.run("job", "show", job_id, "--full").out
    assert "workers/worker/" in full
    assert "left out" not in full
    (record,) = shell.run("job", "show", job_id, "--json").records
    assert record["traceback"] in full


def test_a_job_shows_meta_progress_retries_and_timeouts(bus: notify.Bus, show: Any) -> None:
    queue = Queue("work", connection=bus.redis)
    job = queue.enqueue(
        add, retry=Retry(max=3, interval=[10, 60]), job_timeout=90, result_ttl=30, meta={"progress": "3/4", "who": "Ada"}, description="x"
    )
    shown = show(job.id)
    assert {name: shown[name] for name in ("progress", "meta", "retries_left", "retry_intervals_s", "timeout_s", "result_ttl_s")} == {
        "progress": "3/4",
        "meta": '{"progress":"3/4","who":"Ada"}',
        "retries_left": "3",
        "retry_intervals_s": "[10,60]",
        "timeout_s": "90",
        "result_ttl_s": "30",
    }
    assert "traceback" not in shown
    assert "worker" not in shown


def test_a_job_shows_its_dependencies_both_ways(bus: notify.Bus, show: Any) -> None:
    queue = Queue("work", connection=bus.redis)
    first = queue.enqueue(fail)
    second = queue.enqueue(add, depends_on=first)
    third = queue.enqueue(add, depends_on=second)
    assert show(second.id)["depends_on"] == f'{{"{first.id}":"queued"}}'
    assert show(second.id)["dependents"] == f'{{"{third.id}":"deferred"}}'
    bus.redis.delete(first.key)
    assert show(second.id)["depends_on"] == f'{{"{first.id}":"gone"}}'


def test_a_scheduled_job_and_one_that_cannot_be_read_are_shown(bus: notify.Bus, show: Any) -> None:
    queue = Queue("work", connection=bus.redis)
    assert show(queue.enqueue_in(timedelta(hours=1), add).id)["status"] == "scheduled"
    job = queue.enqueue(add)
    bus.redis.hset(job.key, mapping={"data": "\x1b[31mred", "meta": "no JSON"})
    shown = show(job.id)
    assert "its call cannot be read" in shown["problem"]
    assert "\x1b" not in "".join(shown.values())


def test_frames_are_folded_in_every_part_of_a_chain_of_errors() -> None:
    ours = '  File "/x/site-packages/rq/job.py", line 5, in perform\n    return call()\n           ^^^^^^\n'
    theirs = '  File "/home/ada/orders/notify.py", line 7, in place\n    pay()\n'
    between = "\nDuring handling of the above exception, another exception occurred:\n\n"
    traceback = f"Traceback:\n{ours}{theirs}KeyError: 1\n{between}Traceback:\n{ours}{ours}{theirs}ValueError: two\nlines"
    expected = f"Traceback:\n{theirs}KeyError: 1\n{between}Traceback:\n{theirs}ValueError: two\nlines"
    assert fold_frames(traceback) == (expected, 3)


@pytest.mark.parametrize(
    "text", ["", "its worker w died", 'Traceback:\n  File "/x/site-packages/rq/job.py", line 5, in perform\n    call()\nKeyError']
)
def test_a_traceback_without_frames_of_the_user_stays_as_it_is(text: str) -> None:
    assert fold_frames(text) == (text, 0)
