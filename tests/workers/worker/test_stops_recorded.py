"""The record of a stop, with a worker in this process: it is told once, also if it is recorded again because an answer was lost."""

from collections.abc import Iterator
from typing import Any

import pytest

import notify
from tests.support.workers_here import ModelWorker, act, make_worker
from workers import Job, Queue
from workers.fleet.reaper import Reaper
from workers.scripts import jobs


@pytest.fixture
def worker(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelWorker]:
    monkeypatch.setattr(jobs, "UNBEGUN_S", 0.0)  # nobody answers the stop: this thread would
    worker = make_worker(bus, "w0", window=32)
    yield worker
    worker._horse.close()
    worker.hang_up()


@pytest.fixture
def events(bus: notify.Bus) -> Iterator[notify.Subscriber]:
    with bus.subscribe("job.q0") as subscriber:
        yield subscriber


def stop_next(bus: notify.Bus, worker: ModelWorker) -> tuple[Any, Any]:
    """Have the worker take a job, and stop its run."""
    Queue("q0", connection=bus.redis).enqueue(act)
    job, queue = worker.dequeue_job_and_maintain_ttl(None)
    assert Job(job.id, connection=bus.redis).cancel("because").status == "stopped"
    worker._current_run.mark_stopped("because")
    return job, queue


def statuses(events: notify.Subscriber) -> list[str]:
    found = []
    while (event := events.get(0.05)) is not None:
        contents: dict[str, str] = event.contents  # type: ignore[assignment, union-attr]  # they are those of a job
        found.append(contents["status"])
    return found


def test_a_stop_that_is_recorded_again_is_told_once(bus: notify.Bus, worker: ModelWorker, events: notify.Subscriber) -> None:
    """The answer to what recorded it was lost, so the worker does it once more."""
    job, queue = stop_next(bus, worker)
    for _ in range(2):
        worker._loop._turn._recorder.record(job, queue, None)
    assert statuses(events) == ["enqueued", "stopped"]


def test_a_stop_that_a_reaper_has_recorded_is_told_once(bus: notify.Bus, worker: ModelWorker, events: notify.Subscriber) -> None:
    """The worker was silent for so long that it was taken for dead, and goes on."""
    job, queue = stop_next(bus, worker)
    Reaper(bus.redis).reap("w0", job.id)
    worker._loop._turn._recorder.record(job, queue, None)
    assert statuses(events) == ["enqueued", "stopped"]
