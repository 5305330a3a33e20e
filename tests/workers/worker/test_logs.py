"""The reason of a failure names the error, whatever its message looks like."""

import traceback

import pytest

from tests.support.sample_jobs import kill_yourself
from tests.workers.conftest import StartWorkers
from workers import Queue
from workers.worker.logs import reason_in


@pytest.mark.parametrize("message", ["no good", "no good\nsecond line", "no good\n\n"])
def test_the_reason_is_the_type_and_the_first_line_of_the_message(message: str) -> None:
    try:
        raise ValueError(message) from KeyError("cause")
    except ValueError:
        assert reason_in(traceback.format_exc()) == "ValueError: no good"


@pytest.mark.parametrize(("text", "reason"), [("", ""), ("the worker died", "the worker died"), ("first\nlast\n", "last")])
def test_of_a_text_that_is_no_traceback_the_last_line_counts(text: str, reason: str) -> None:
    assert reason_in(text) == reason


@pytest.mark.any_server
@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_a_process_that_was_killed_is_one_line(
    queue: Queue, start_workers: StartWorkers, capfd: pytest.CaptureFixture[str], level: str
) -> None:
    """With DEBUG the lines of RQ stand beside it."""
    pool = start_workers(log_level=level)
    job = queue.enqueue(kill_yourself)
    assert job.wait(10).status == "failed"
    pool.close(grace_s=5)
    said = [line for line in capfd.readouterr().err.splitlines() if job.id in line and ("killed" in line or "terminated" in line)]
    assert (len(said) == 1) == (level == "WARNING"), said
    assert any("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9)" in line for line in said)
