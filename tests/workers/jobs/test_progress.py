"""What a running job reports about its progress."""

import hashlib
import threading

import pytest

import notify
from notify.server import scripts
from notify.testing import wait_until
from tests.support import progress_jobs
from tests.support.progress_jobs import stumble, walk, walk_beside, walk_on
from tests.support.sample_jobs import add
from tests.workers.conftest import Effects, StartWorkers, result
from workers import Job, JobDefinitionError, Queue, rq_keys
from workers.jobs import Progress, progress_in, read_progress
from workers.overview import details_of
from workers.scripts import Run, RunScripts

MODULE = progress_jobs.__name__


def reported(job: Job) -> tuple[float, float | None, str]:
    progress = read_progress(job)
    assert progress is not None
    return progress.done, progress.total, progress.message


def test_the_last_report_is_kept_and_few_are_sent(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    """Of two hundred quick reports the first is sent at once, and the last when the function has ended."""
    with bus.subscribe("job.work") as events:
        start_workers(modules=(MODULE,))
        job = queue.enqueue(walk, "w", 200)
        assert result(job) <= 2
        assert reported(job) == (200, 201, "step 200")
        told = [event.contents for event in iter(lambda: events.get(0.2), None) if isinstance(event, notify.Event)]
    steps = [each["done"] for each in told if each["status"] == "progress"]
    assert steps[0] == 1
    assert steps[-1] == 200
    assert len(steps) <= 4
    assert details_of(job).progress == read_progress(job)


def test_a_run_that_was_stopped_reports_nothing_more(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    effects = Effects(bus)
    start_workers(modules=(MODULE,))
    job = queue.enqueue(walk_on, "w")
    effects.wait_for("w:begun")
    assert reported(job) == (1, 3, "waiting")
    fence = str(bus.redis.hget(job.key, "fence").decode())
    assert job.cancel() is not None
    assert not RunScripts(bus.redis).report_progress(Run(job.id, fence), {"done": 9, "total": None, "message": ""})
    assert not RunScripts(bus.redis).report_progress(Run(job.id, "another"), {"done": 9, "total": None, "message": ""})
    effects.let_go("w")
    assert reported(job) == (1, 3, "waiting")


FENCE = "if known[1] ~= fence or known[2] ~= 'started' then return 0 end"


@pytest.mark.parametrize("is_fenced", [True, False])
def test_a_run_that_lost_its_job_spoils_no_progress(
    bus: notify.Bus, queue: Queue, monkeypatch: pytest.MonkeyPatch, is_fenced: bool
) -> None:
    """A worker was taken for dead, another one runs the job, and the first one reports late. Twin: nobody looks at the fence."""
    reports = RunScripts(bus.redis)
    loaded, source = scripts.load_script, reports.source("report_progress")
    assert FENCE in source
    naive = source.replace(FENCE, "")
    twin = (naive, hashlib.sha1(naive.encode()).hexdigest())  # noqa: S324  # as Redis names scripts
    if not is_fenced:
        monkeypatch.setattr(scripts, "load_script", lambda *which: twin if "report_progress" in which else loaded(*which))
    job = queue.enqueue(add)
    bus.redis.hset(job.key, mapping={"status": "started", "fence": "second"})
    assert reports.report_progress(Run(job.id, "second"), {"done": 3, "total": 10, "message": "mine"})
    late = RunScripts(bus.redis).report_progress(Run(job.id, "first"), {"done": 9, "total": 10, "message": "late"})
    assert late == (not is_fenced)
    assert (read_progress(job) is None) == (not is_fenced)
    if is_fenced:
        assert reported(job) == (3, 10, "mine")


def test_the_whole_is_sent_at_once(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    effects = Effects(bus)
    start_workers(modules=(MODULE,))
    job = queue.enqueue(walk_on, "w")
    effects.let_go("w")
    result(job)
    progress = read_progress(job)
    assert progress is not None
    assert (progress.done, progress.total, progress.percent) == (3, 3, 100)
    assert progress.at_ms <= 1000 * int(bus.redis.time()[0]) + 1000


def test_a_job_that_fails_has_told_the_last_report_before(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(modules=(MODULE,))
    job = queue.enqueue(stumble)
    assert job.wait(15)
    assert reported(job) == (2, None, "about to fall")
    assert (read_progress(job) or Progress(0)).percent is None


def test_async_jobs_that_run_side_by_side_report_each_for_itself(bus: notify.Bus, queue: Queue, start_workers: StartWorkers) -> None:
    start_workers(modules=(MODULE,))
    jobs = [queue.enqueue(walk_beside, name) for name in "abc"]
    for job in jobs:
        result(job)
    assert [reported(job) for job in jobs] == [(2, 4, name) for name in "abc"]


def test_a_progress_of_an_earlier_run_and_one_that_is_none_do_not_count() -> None:
    kept = b'{"fence":"f1","done":1,"total":2,"message":"m","at_ms":5}'
    assert progress_in({b"progress": kept, b"fence": b"f1"}) == Progress(1, 2, "m", 5)
    assert progress_in({b"progress": kept, b"fence": b"f2"}) is None
    assert progress_in({}) is None
    for spoilt in (b"", b"{}", b"[" * 50_000, b'{"fence":"f1","done":"x"}', b"\xff"):
        assert progress_in({b"progress": spoilt, b"fence": b"f1"}) is None


@pytest.mark.parametrize(("done", "total"), [(-1, None), (float("nan"), 3), (True, None), ("1", None), (1, -1), (1, float("inf"))])
def test_numbers_that_are_none_are_refused(queue: Queue, done: object, total: object) -> None:
    with pytest.raises(JobDefinitionError, match="give a number of at least 0"):
        queue.enqueue(add).progress(done, total)  # type: ignore[arg-type]  # on purpose


def test_outside_of_a_run_nothing_is_reported(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    job.progress(1, 2, "nobody runs it")
    assert read_progress(job) is None
    with pytest.raises(JobDefinitionError, match="give a text"):
        job.progress(1, 2, 3)  # type: ignore[arg-type]  # on purpose


def test_threads_of_a_job_may_report_at_once(bus: notify.Bus, queue: Queue) -> None:
    job = queue.enqueue(add)
    bus.redis.hset(rq_keys.job(job.id), mapping={"status": "started", "fence": "f"})
    job.fence = "f"
    threads = [threading.Thread(target=job.progress, args=(number, 8)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: (read_progress(job) or Progress(0)).done == 8)
