"""Jobs that a worker gives back while the answer is lost: it hears later that it has them no more, and records nothing about them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import notify
from notify.testing import wait_until
from tests.support.batch_jobs import begin_in
from tests.support.proxy import Break, Proxy
from tests.support.workers_here import ModelWorker, act, make_worker
from tests.workers.conftest import StartWorkers
from workers import Job, Outcome, Queue, rq_keys
from workers.scripts import ClaimScripts

SHORT = ["b", "c", "d"]


@pytest.fixture
def queue(bus: notify.Bus) -> Queue:
    return Queue("q0", connection=bus.redis)


@pytest.fixture
def worker(bus: notify.Bus) -> Iterator[ModelWorker]:
    worker = make_worker(bus, "w2", window=32)
    yield worker
    worker._horse.close()
    worker.hang_up()


def take_next(worker: ModelWorker) -> str:
    taken = worker.dequeue_job_and_maintain_ttl(None)
    assert taken is not None
    job, queue = taken
    worker.execute_job(job, queue)
    return str(job.id)


def lose_a_giveback(worker: ModelWorker, queue: Queue) -> tuple[Any, Any]:
    """Have the job in hand turn out to be a long one, so that the others are given back, and lose the answer. Returns the one in hand."""
    for job_id in ("a", *SHORT):
        queue.enqueue(act, job_id=job_id)
    taken = worker.dequeue_job_and_maintain_ttl(None)
    claims: Any = worker._loop._claimer._claims
    claims.loses = True
    assert not worker._loop.ahead.goes_on(ttl_s=90)
    assert (queue.get_job_ids(), queue.started_job_registry.get_job_ids()) == (SHORT, ["a"]), "the server has done it"
    return taken


def test_nothing_is_recorded_about_runs_that_went_back_before(
    bus: notify.Bus, worker: ModelWorker, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    with bus.subscribe("job.q0") as events:
        worker.execute_job(*lose_a_giveback(worker, queue))
        caplog.set_level(logging.INFO)
        caplog.clear()
        assert [take_next(worker) for _ in SHORT] == SHORT, "their old runs, which it has no more"
        assert [record.message for record in caplog.records if "started" in record.message or "act()" in record.message] == []
        assert {Job.fetch(each, connection=bus.redis).outcome for each in SHORT} == {None}
        assert [take_next(worker) for _ in SHORT] == SHORT
        worker._loop.record_returned()
        told = [contents for contents in iter(lambda: contents_of(events.get(0.05)), None) if contents["job"] in SHORT]
    for job_id in SHORT:
        assert [each["status"] for each in told if each["job"] == job_id] == ["enqueued", "started", "finished"]


def contents_of(event: Any) -> dict[str, str] | None:
    return None if event is None else dict(event.contents)


def test_a_run_whose_end_is_not_recorded_stays_in_the_line_while_others_go_back(
    bus: notify.Bus, worker: ModelWorker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the worker is killed between the two, its last will finds it there, and records the end."""
    lines: list[str] = []
    give_back = ClaimScripts.give_back

    def watched(self: ClaimScripts, *args: Any, **kwargs: Any) -> set[str]:
        refused = give_back(self, *args, **kwargs)
        lines.append((bus.redis.hget(rq_keys.worker("w2"), "ahead") or b"").decode())
        return refused

    monkeypatch.setattr(ClaimScripts, "give_back", watched)
    worker.execute_job(*lose_a_giveback(worker, queue))
    worker.dequeue_job_and_maintain_ttl(None)
    assert [[run.partition(":")[0] for run in line.split()] for line in lines] == [["a"], ["a"]]


def test_what_goes_back_begins_and_is_told_once_although_only_that_answer_is_lost(
    bus: notify.Bus, start_workers: StartWorkers, proxy: Proxy, tmp_path: Path
) -> None:
    """With real processes: a long job is in front of ten short ones."""
    path, work = tmp_path / "notes", Queue("work", connection=bus.redis)
    digest = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500).digest("giveback")
    calls = [Queue.prepare_data(begin_in, [str(path), 0.4 if number == 2 else 0.0], job_id=f"job-{number}") for number in range(13)]
    with bus.subscribe("job.work") as events:
        settings = msgspec.structs.replace(bus.settings, url=proxy.url)
        start_workers(modules=("tests.support.batch_jobs",), window=32, settings=settings)
        proxy.break_at(1, digest.encode(), Break.LOST)
        jobs = list(work.enqueue_many(calls))
        assert [(outcome := job.wait(20)) and Outcome(outcome.status) for job in jobs] == [Outcome("finished")] * 13
        assert proxy.has_broken
        assert path.read_text().split() == [job.id for job in jobs]
        told = list(iter(lambda: contents_of(events.get(0.2)), None))
    for job in jobs:
        assert [each["status"] for each in told if each["job"] == job.id] == ["enqueued", "started", "finished"]
    wait_until(lambda: not list(bus.redis.scan_iter("rq:execution*")), what="the records of the runs to go")
    assert work.started_job_registry.get_job_ids() == []
