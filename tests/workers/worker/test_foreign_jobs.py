"""Pickled jobs of plain RQ on a queue of ours: told for what they are, failed, or left to RQ's own workers."""

import os
import subprocess
import sys
from typing import Any

import pytest
import rq

import notify
from notify.testing import wait_until
from tests.support.sample_jobs import add
from tests.workers.conftest import SAMPLE, Effects, StartWorkers, claim_next
from workers import Job, JobRefusedError, Outcome, Queue, explain, find_jobs, preview_loss, requeue
from workers.scripts import Claim, ClaimOptions, ClaimScripts

PLAIN_WORKER = """
import sys, redis, rq
connection = redis.Redis.from_url(sys.argv[1])
rq.SimpleWorker(["work"], connection=connection).work(burst=True)
"""


@pytest.fixture
def plain(bus: notify.Bus) -> rq.Queue:
    """The same queue, as a program with plain RQ uses it: it pickles."""
    return rq.Queue("work", connection=bus.redis)


def claim_ours(bus: notify.Bus, *, start: int = 0) -> Claim:
    """Claim a job of the queue as a worker does that leaves those of plain RQ, and look into what it has to look into."""
    claims = ClaimScripts(bus.redis, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500, options=ClaimOptions(skip_foreign=True))
    while (claim := claims.claim(["rq:queue:work"], fence=os.urandom(4).hex(), ended=None, start=start)).answer in ("look", "more"):
        if claim.answer == "look":
            claims.examine_call(claim.job_id)
        start = claim.queue
    return claim


def test_a_pickled_job_is_told_for_what_it_is_in_every_view(bus: notify.Bus, plain: rq.Queue) -> None:
    pickled = plain.enqueue(os.getcwd)
    (found,) = find_jobs(bus.redis)
    fetched = Job.fetch(pickled.id, connection=bus.redis)
    for job in (found, fetched):
        assert (job.function_name, job.is_foreign, job.origin) == ("posix.getcwd", True, "work")
        assert job.problem.startswith("plain RQ pickled its call")
        with pytest.raises(JobRefusedError, match="plain RQ pickled"):
            job.args  # noqa: B018
    assert "calls posix.getcwd" in explain(bus, fetched)
    assert "plain RQ pickled its call" in explain(bus, fetched)
    assert preview_loss(bus.redis, "svc") == []
    with pytest.raises(JobRefusedError, match="no worker can run it: plain RQ pickled"):
        requeue(bus.redis, pickled.id)
    assert fetched.cancel().status == "cancelled"  # type: ignore[union-attr]  # it has ended


def test_without_the_option_a_pickled_job_fails_with_a_remedy(bus: notify.Bus, plain: rq.Queue, queue: Queue, start_workers: StartWorkers):
    pickled = plain.enqueue(os.getcwd, retry=rq.Retry(max=3))
    start_workers()
    outcome = Job.fetch(pickled.id, connection=bus.redis).wait(15)
    assert outcome is not None
    assert (outcome.status, "--skip-foreign" in outcome.reason) == ("failed", True)
    assert pickled.id in queue.failed_job_registry


def test_jobs_of_plain_rq_stay_in_their_place_and_its_own_worker_runs_them(
    bus: notify.Bus, plain: rq.Queue, queue: Queue, start_workers: StartWorkers, effects: Effects
) -> None:
    first = [plain.enqueue(os.getcwd) for _ in range(3)]
    ours = [queue.enqueue(add, "ours"), queue.enqueue(add, "ours")]
    by_json = rq.Queue("work", connection=bus.redis, serializer="json").enqueue(f"{SAMPLE}.add", "json")
    last = plain.enqueue(os.getcwd)
    start_workers(skip_foreign=True)
    assert [job.wait(15) for job in ours] == [Outcome("finished")] * 2
    effects.wait_for("json")
    wait_until(lambda: queue.job_ids == [job.id for job in (*first, last)], timeout_s=15)
    late = queue.enqueue(add, "late")
    assert late.wait(15) == Outcome("finished")
    assert [job.get_status() for job in (*first, last)] == ["queued"] * 4
    # In a process of its own: the thread in which it reads commands may outlive it.
    subprocess.run([sys.executable, "-c", PLAIN_WORKER, bus.redis.settings.url], check=True, timeout=30, capture_output=True)
    assert [job.return_value(refresh=True) for job in (*first, last)] == [os.getcwd()] * 4
    assert by_json.get_status() == "finished"


def test_a_job_behind_many_jobs_of_plain_rq_is_found(bus: notify.Bus, plain: rq.Queue, queue: Queue) -> None:
    with bus.redis.pipeline() as pipe:
        foreign = [plain.enqueue(os.getcwd, pipeline=pipe).id for _ in range(450)]
        pipe.execute()
    ours = queue.enqueue(add)
    claim = claim_ours(bus)
    assert (claim.answer, claim.job_id) == ("started", ours.id)
    assert queue.job_ids == foreign
    assert (claim_ours(bus).answer, claim_ours(bus).queue) == ("", 450)


def test_a_worker_with_only_foreign_jobs_asks_a_few_times_a_second(
    bus: notify.Bus, plain: rq.Queue, queue: Queue, start_workers: StartWorkers
) -> None:
    """Its wait for a list that is not empty would end at once: then it would ask thousands of times a second."""
    plain.enqueue(os.getcwd)
    start_workers(skip_foreign=True)
    assert queue.enqueue(add).wait(15) == Outcome("finished")
    before = _script_calls(bus)
    wait_until(lambda: _seconds(bus) - before[1] >= 1.0, timeout_s=5)
    assert _script_calls(bus)[0] - before[0] < 40


def test_the_twin_a_claim_that_does_not_skip_takes_the_job_of_plain_rq(bus: notify.Bus, plain: rq.Queue, queue: Queue) -> None:
    pickled = plain.enqueue(os.getcwd)
    queue.enqueue(add)
    assert claim_next(bus).job_id == pickled.id


def _seconds(bus: notify.Bus) -> float:
    seconds, microseconds = bus.redis.time()  # type: ignore[misc]  # redis-py cannot say which of its clients it is
    return float(seconds + microseconds / 1e6)


def _script_calls(bus: notify.Bus) -> tuple[int, float]:
    """How many scripts the server has run, and when that was asked."""
    stats: Any = bus.redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"]), _seconds(bus)
