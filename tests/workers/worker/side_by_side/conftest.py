"""Workers whose jobs run side by side."""

from typing import Any

import pytest

from tests.workers.conftest import Effects, StartWorkers
from workers import Job, Queue

ASYNC = "tests.support.async_jobs"


@pytest.fixture
def start(start_workers: StartWorkers) -> Any:
    """Start workers that may run the jobs of `async_jobs`."""

    def with_modules(size: int = 1, **options: Any) -> Any:
        return start_workers(size, modules=(ASYNC,), **options)

    return with_modules


def begun(queue: Queue, effects: Effects, function: Any, *names: str, **options: Any) -> list[Job]:
    """Enqueue a job for each name, and wait until all of them run."""
    made = [queue.enqueue(function, name, **options) for name in names]
    for name in names:
        effects.wait_for(f"{name}:begun")
    return made


def ended(job: Job) -> tuple[str, str]:
    """Wait for the end of a job. Returns its status and the reason."""
    outcome = job.wait(15)
    assert outcome is not None
    return outcome.status, outcome.reason
