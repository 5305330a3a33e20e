"""The log of a worker process says each thing once."""

import subprocess
import sys

import pytest

from tests.support.sample_jobs import kill_yourself
from tests.workers.conftest import StartWorkers
from workers import Queue


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


TWICE = """
import logging
from workers.worker.logs import configure_logging
before = []
for level in ("WARNING", "WARNING", "INFO"):
    configure_logging(level, job_logs="INFO")
    before.append(list(logging.getLogger().handlers))
first, second, third = before
print(first == second, second == third, len(first), len(third))
"""


def test_a_fork_whose_log_is_set_up_as_it_is_to_be_touches_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["True", "False", "2"]
