"""Commands about jobs that no worker can run: each is shown for what it is, without a traceback and without a raw control character."""

import json
import os

import pytest
import rq

import notify
from tests.cli.conftest import Shell
from tests.support.forged_jobs import a_call, forge
from workers import Queue

CALL = a_call("tests.support.sample_jobs.add")
ODD = {
    "nodata": ("", {}),
    "bad-ttl": (CALL, {"result_ttl": "1e999"}),
    "control": (a_call("\\u001b[2Jevil"), {"description": "\x1b[2Jevil"}),
}


@pytest.fixture
def pickled(bus: notify.Bus) -> str:
    """A queue with a pickled job of plain RQ, whose id this is, and jobs that were written by hand."""
    Queue("work", connection=bus.redis)
    made = rq.Queue("work", connection=bus.redis).enqueue(os.getcwd)
    for job_id, (data, fields) in ODD.items():
        forge(bus, job_id, data, **fields)
    bus.redis.rpush("rq:queue:work", "no-hash")
    bus.redis.set("rq:job:no-hash", "text", ex=600)
    return str(made.id)


def test_every_view_shows_jobs_that_cannot_be_run_for_what_they_are(shell: Shell, pickled: str) -> None:
    done = shell.run("jobs", "--json")
    assert (done.code, done.err) == (0, "")
    rows = {row["id"]: row for row in map(json.loads, done.out.splitlines())}
    assert rows[pickled]["function"] == "posix.getcwd"
    assert rows[pickled]["why"].startswith("plain RQ pickled its call")
    assert rows["nodata"]["why"] == "it has no call: its field data is missing or empty"
    assert rows["bad-ttl"]["why"].startswith("its field result_ttl is '1e999', not a whole number")
    assert rows["no-hash"]["why"] == "its key is not a hash"
    code, text = shell.show("jobs")
    assert (code, "\x1b[2J" in text, "Traceback" in text) == (0, False, False)


def test_one_job_that_cannot_be_run_is_shown_explained_and_cancelled(shell: Shell, pickled: str) -> None:
    for command in ("show", "explain"):
        done = shell.run("job", command, pickled)
        assert (done.code, done.err) == (0, "")
        assert "plain RQ pickled its call" in done.out
    assert "\x1b" not in shell.run("job", "show", "control").out
    refused = shell.run("job", "retry", pickled)
    assert (refused.code, "no worker can run it" in refused.err, "Traceback" in refused.err) == (1, True, False)
    assert shell.run("job", "cancel", pickled).code == 0
    missing = shell.run("job", "show", "no-hash")
    assert (missing.code, "WRONGTYPE" in missing.err, "Traceback" in missing.err) == (3, True, False)


def test_counts_and_bulk_cancels_pass_over_jobs_that_cannot_be_run(shell: Shell, pickled: str) -> None:
    assert shell.run("queues").out.startswith("work\t4")  # what is no hash is no job
    done = shell.run("cancel", "--needs", "svc", "--dry-run")
    assert (done.code, "Traceback" in done.err) == (0, False)
